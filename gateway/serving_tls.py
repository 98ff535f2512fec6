"""The files for TLS to the model server, as the GATEWAY_SERVING_TLS_* settings name them."""

import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.certificates import load_pair

CA: Final = "GATEWAY_SERVING_TLS_CA"
CERT: Final = "GATEWAY_SERVING_TLS_CERT"
KEY: Final = "GATEWAY_SERVING_TLS_KEY"
NAME: Final = "GATEWAY_SERVING_TLS_NAME"

_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----\s.+?-----END CERTIFICATE-----", re.DOTALL)


class BadFiles(Exception):
    """Raised for files that cannot be used; the message names the setting and its value. ``setting``: which one alone."""

    def __init__(self, setting: str, message: str) -> None:
        super().__init__(message)
        self.setting = setting


@dataclass(frozen=True, slots=True)
class Pem:
    """The content of the files: ``ca`` are the certificates that are trusted, the others are for mutual TLS."""

    ca: bytes
    certificate: bytes | None
    key: bytes | None


@dataclass(frozen=True, slots=True)
class ServingTls:
    """``certificate`` and ``key`` are for mutual TLS; ``name`` is in the server's certificate (empty: the target's host is)."""

    ca: Path
    certificate: Path | None = None
    key: Path | None = None
    name: str = ""

    @property
    def paths(self) -> list[Path]:
        """The files that there must be."""
        return [path for path in (self.ca, self.certificate, self.key) if path is not None]

    def check_readable(self) -> None:
        """Raises BadFiles for a file that is missing or cannot be read."""
        for setting, path in ((CA, self.ca), (CERT, self.certificate), (KEY, self.key)):
            if path is not None:
                _content(setting, path)

    def read(self) -> Pem:
        """The content of the files, which is what it should be. Raises BadFiles."""
        ca = _content(CA, self.ca)
        _check_ca(ca, self.ca)
        if self.certificate is None or self.key is None:
            return Pem(ca, None, None)
        pem = Pem(ca, _content(CERT, self.certificate), _content(KEY, self.key))
        files = f"{CERT}={self.certificate} {KEY}={self.key}"
        try:
            load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), self.certificate, self.key)
        except (OSError, ValueError) as error:
            raise BadFiles(CERT, f"{files}: expected a PEM certificate and its key without a password: {error}") from error
        if (pem.certificate, pem.key) != (_content(CERT, self.certificate), _content(KEY, self.key)):
            raise BadFiles(CERT, f"{files}: the files were being replaced")
        return pem


def serving_tls(ca: Path | None, certificate: Path | None, key: Path | None, name: str) -> ServingTls | None:
    """The files as one value; None without any of them. Raises ValueError when one is missing that another one needs."""
    if (certificate is None) != (key is None):
        missing, given = (CERT, KEY) if certificate is None else (KEY, CERT)
        raise ValueError(f"{missing}: expected the path of a file, because {given} is given")
    if ca is None and (certificate is not None or name):
        given = NAME if certificate is None else CERT
        raise ValueError(f"{CA}: expected the path of a file, because {given} is given")
    return None if ca is None else ServingTls(ca, certificate, key, name)


def _content(setting: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadFiles(setting, f"{setting}: expected a PEM file that can be read: {error}") from error


def _check_ca(content: bytes, path: Path) -> None:
    """gRPC passes over what it cannot read, and says later that no certificate could be checked."""
    found = _CERTIFICATE.findall(content)
    if not found:
        raise BadFiles(CA, f"{CA}={path}: expected a PEM file with certificates: there is none in it")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=b"\n".join(found).decode("ascii"))
    except (OSError, ValueError) as error:  # of which ssl.SSLError and UnicodeDecodeError are some
        raise BadFiles(CA, f"{CA}={path}: expected a PEM file with certificates: {error}") from error

"""The certificate that the gateway shows, and its renewal while the gateway runs."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.certificates import FileMarks, load_pair
from gateway.server.certificate_end import end_of

_LOOK_EVERY_S: Final = 10.0

log = logging.getLogger("gateway.server")


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """``certificate``: a PEM file with the certificate and those that signed it. ``key``: a PEM file with its private key."""

    certificate: Path
    key: Path

    def load_into(self, context: ssl.SSLContext) -> None:
        """Let ``context`` show the certificate. Raises OSError and ssl.SSLError when the files are not what they should be."""
        load_pair(context, self.certificate, self.key)

    def context(self) -> ssl.SSLContext:
        """A server's context, for TLS 1.2 and later. Raises as ``load_into``."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        self.load_into(context)
        return context

    def end_s(self) -> float:
        """When the first of the certificates ends, in Unix time. Raises OSError and ValueError as ``end_of``."""
        return end_of(self.certificate.read_text(encoding="latin-1"))


class Renewal:
    """Loads changed files into the context that is in use. New connections see the new certificate.

    ``in_use`` is called with the end of the certificate that is in use, in Unix time, at first and after each change.
    """

    def __init__(
        self, files: CertificateFiles, context: ssl.SSLContext, in_use: Callable[[float], None] = lambda end_s: None
    ) -> None:
        self._files = files
        self._context = context
        self._marks = FileMarks([files.certificate, files.key])
        self._in_use = in_use
        self._tell_end()

    async def watch(self, every_s: float = _LOOK_EVERY_S) -> None:
        """Look at the files every ``every_s`` seconds, until cancelled."""
        while True:
            await asyncio.sleep(every_s)
            self.look()

    def look(self) -> None:
        """Load the files if they have changed. Files that do not fit are logged, and the old certificate stays."""
        if not self._marks.have_changed():
            return
        try:
            self._files.context()  # whether they fit each other; a failure would leave half of them in the one in use
            self._files.load_into(self._context)
        except (OSError, ssl.SSLError) as error:
            log.warning(
                "the changed certificate cannot be used, and the old one stays (GATEWAY_TLS_CERT=%s, GATEWAY_TLS_KEY=%s): %s",
                self._files.certificate,
                self._files.key,
                error,
            )
            return
        log.info("the changed certificate %s is in use", self._files.certificate)
        self._tell_end()

    def _tell_end(self) -> None:
        try:
            end_s = self._files.end_s()
        except (OSError, ValueError) as error:  # it is in use all the same
            log.warning("the end of the certificate %s cannot be read: %s", self._files.certificate, error)
        else:
            self._in_use(end_s)

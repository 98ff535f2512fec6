"""A certificate authority of the tests, made with openssl: it signs for servers and for clients."""

import json
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

_CONFIG = """[ca]
default_ca = own
[own]
database = {folder}/index.txt
new_certs_dir = {folder}
rand_serial = yes
unique_subject = no
default_md = sha256
policy = names
[names]
commonName = supplied
"""
# Python 3.13 asks an authority to say that it is one.
_MAY_SIGN = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Pair(NamedTuple):
    """The PEM files of a certificate and its key."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """``certificate`` is what trusts those that it has signed."""

    folder: Path
    certificate: Path
    key: Path

    def signed(self, name: str, alternatives: str = "", days: int = 2) -> Pair:
        """A new certificate for the DNS ``name``, or for ``alternatives`` (`IP:127.0.0.1`); with -1 ``days`` it has expired."""
        pair = Pair(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={alternatives or f'DNS:{name}'}\nauthorityKeyIdentifier=keyid\n")
        _openssl("req", *_KEY, "-subj", f"/CN={name}", "-keyout", pair.key, "-out", request)
        now = datetime.now(UTC)
        # Only ``openssl ca`` makes certificates that have expired in every version: ``x509`` no longer takes -days -1.
        config = self.folder / "ca.cnf"
        config.write_text(_CONFIG.format(folder=self.folder))
        (self.folder / "index.txt").touch()
        signer = ("-config", config, "-cert", self.certificate, "-keyfile", self.key, "-extfile", extensions)
        times = ("-startdate", _time(now - timedelta(days=2)), "-enddate", _time(now + timedelta(days=days)))
        _openssl("ca", "-batch", "-notext", *signer, *times, "-in", request, "-out", pair.certificate)
        return pair


def authority(folder: Path, name: str) -> Authority:
    """A new authority, whose files lie in a folder of its name."""
    made = folder / name
    made.mkdir()
    files = Authority(made, made / "ca.pem", made / "ca.key")
    _openssl(
        "req", "-x509", *_KEY, *_MAY_SIGN, "-days", "2", "-subj", f"/CN={name}", "-keyout", files.key, "-out", files.certificate
    )
    return files


def ssl_config(path: Path, server: Pair, clients: Authority | None = None) -> Path:
    """The model server's ``--ssl_config_file``; with ``clients`` each client needs a certificate that this authority signed."""
    lines = [f"server_key: {_quoted(server.key)}", f"server_cert: {_quoted(server.certificate)}"]
    if clients is not None:
        lines += [f"custom_ca: {_quoted(clients.certificate)}", "client_verify: true"]
    path.write_text("\n".join(lines))
    return path


def put(source: Path, target: Path) -> None:
    """Replace ``target`` as a certificate manager does: by a new file."""
    new = target.with_name(f"{target.name}.new")
    new.write_bytes(source.read_bytes())
    new.replace(target)


def _time(moment: datetime) -> str:
    return f"{moment:%Y%m%d%H%M%SZ}"


def _quoted(path: Path) -> str:
    return json.dumps(path.read_text())


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

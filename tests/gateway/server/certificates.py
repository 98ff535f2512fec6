"""Certificates for tests, made by openssl."""

import subprocess
from pathlib import Path

from gateway.server.tls import CertificateFiles


def certificate(folder: Path, name: str, days: int = 2) -> CertificateFiles:
    """A new certificate for localhost, signed by itself, whose common name is ``name``."""
    files = CertificateFiles(folder / f"{name}.pem", folder / f"{name}.key")
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-days",
                str(days),
            ),
            *("-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", str(files.key), "-out", str(files.certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return files

"""PEM files with a certificate and its key: whether they fit each other, and whether they have changed."""

import os
import ssl
from collections.abc import Sequence
from pathlib import Path


def load_pair(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """Let ``context`` show a certificate. Raises OSError and ssl.SSLError when the files are not what they should be."""
    # Without the empty password OpenSSL would ask at the terminal for that of an encrypted key.
    context.load_cert_chain(certificate, key, password=lambda: "")


class FileMarks:
    """Says whether one of ``paths`` has changed, be it written anew or replaced by another file."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._seen = self._marks()

    def have_changed(self) -> bool:
        """Whether there was a change since the last call (or since the start). While a file is missing there is none."""
        marks = self._marks()
        if not marks or marks == self._seen:
            return False
        self._seen = marks
        return True

    def _marks(self) -> list[tuple[int, int, int]]:
        """What changes when one of the files does; empty while one is missing."""
        try:
            found = [os.stat(path) for path in self._paths]
        except OSError:
            return []
        return [(one.st_mtime_ns, one.st_size, one.st_ino) for one in found]

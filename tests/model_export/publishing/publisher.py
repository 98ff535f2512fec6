"""A process that publishes one file, and can be told to die at a given moment. Needs no TensorFlow.

usage: python publisher.py MODEL_DIR CONTENT [AUDIT_EVENT OCCURRENCE]
With the last two, the process kills itself (SIGKILL) just before the n-th such event, counted from its first write.
"""

import os
import signal
import sys
from pathlib import Path

from model_export.publishing.publication import publish


def die_at(event: str, occurrence: int) -> None:
    """Send this process SIGKILL just before the occurrence-th audit event of this name."""
    seen = 0

    def hook(name: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        seen += name == event
        if name == event and seen == occurrence:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def main(model_dir: str, content: str, event: str = "", occurrence: str = "1") -> None:
    """Publish a version that holds `saved_model.pb` and a file in a folder, then print its number."""

    def write(folder: Path) -> None:
        if event:
            die_at(event, int(occurrence))
        (folder / "saved_model.pb").write_text(content)
        (folder / "variables").mkdir()
        (folder / "variables" / "data").write_text(content)

    version, _ = publish(Path(model_dir), write)
    print(version.number)


if __name__ == "__main__":
    main(*sys.argv[1:])

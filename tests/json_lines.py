"""Logs whose lines are JSON documents, read while somebody writes them."""

import json
from pathlib import Path
from typing import Any


def documents(log: Path) -> list[dict[str, Any]]:
    """The document of each line that has ended; one that is not JSON fails the test.

    A line is seen in two parts when it is read while it is written, so that the last one may be unfinished.
    """
    return [json.loads(line) for line in log.read_text().rpartition("\n")[0].splitlines()]

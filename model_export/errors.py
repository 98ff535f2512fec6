"""The one error that this package raises on purpose."""

import re

# What TensorFlow and Keras say before they say what went wrong.
_PREAMBLE = (
    "Graph execution error",
    "Detected at node",
    "Node: ",
    "<stack trace unavailable>",
    "Exception encountered",
    "in user code:",
    'File "',
)
_ROOT_ERRORS = re.compile(r"\d+ root error\(s\) found\.")
_NUMBERED = re.compile(r"^\(\d+\) [A-Z_ ]+: ")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
# Where in TensorFlow's own machinery it happened: names of nodes, functions and ops that nobody wrote.
_MACHINERY = re.compile(r"\s*\[*\{\{\w*(node|colocation)\w* [^{}]*\}\}\]*|\s*\[Op:\w+\]( name:.*)?")


class ExportError(Exception):
    """A failure that the operator can understand and act on. Its text is one line: what is wrong and what to do."""


def lines_of(error: BaseException) -> list[str]:
    """Return the lines of an error's text that are not empty, without margins, terminal colours and names of inner nodes."""
    stripped = (_MACHINERY.sub("", line).strip() for line in _ANSI.sub("", str(error)).splitlines())
    return [line for line in stripped if line]


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text that says something, or the error's type when none does."""
    lines = (line for line in lines_of(error) if not line.startswith(_PREAMBLE) and not _ROOT_ERRORS.fullmatch(line))
    return _NUMBERED.sub("", next(lines, type(error).__name__))

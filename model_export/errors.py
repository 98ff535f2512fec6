"""The one error that this package raises on purpose."""

# What TensorFlow says before it says what went wrong.
_PREAMBLE = ("Graph execution error", "Detected at node", "Node: ", "Exception encountered", "in user code:", 'File "')


class ExportError(Exception):
    """A failure that the operator can understand and act on. Its text is one line: what is wrong and what to do."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text that says something, or the error's type when none does."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line and not line.startswith(_PREAMBLE)), type(error).__name__)

"""Text that may stand for bytes that are not UTF-8: each such byte is a lone surrogate (PEP 383, ``surrogateescape``).

Only the strings of a compatible-dialect body may be such text. Code that shows it to a person makes it legible first.
"""


def decode(data: bytes) -> str:
    """Any bytes as text."""
    return data.decode(errors="surrogateescape")


def encode(text: str) -> bytes:
    """The bytes that ``text`` stands for."""
    return text.encode(errors="surrogateescape")


def legible(text: str) -> str:
    """``text`` with U+FFFD for the bytes that are not UTF-8."""
    return text if text.isascii() else encode(text).decode(errors="replace")

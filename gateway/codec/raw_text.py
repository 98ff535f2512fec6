"""Text that may stand for bytes that are not UTF-8: each such byte is a lone surrogate (PEP 383, ``surrogateescape``).

Only the strings of a compatible-dialect body may be such text. Code that shows it to a person makes it legible first.
"""


def raw_text_of(data: bytes) -> str:
    """Any bytes as text."""
    return data.decode(errors="surrogateescape")


def bytes_of_raw_text(text: str) -> bytes:
    """The bytes that ``text`` stands for."""
    return text.encode(errors="surrogateescape")


def legible_text(text: str) -> str:
    """``text`` with U+FFFD for the bytes that are not UTF-8."""
    return text if text.isascii() else bytes_of_raw_text(text).decode(errors="replace")

"""Bytes in JSON: an object with the one member ``b64``, whose value is base64 text (``util/json_tensor.cc``)."""

import base64
import binascii
from typing import Any, Final

KEY: Final = "b64"
_ASCII_SPACE: Final = b" \t\n\v\f\r"
_PADDING: Final = b"=."  # absl::Base64Unescape takes a dot for it too


def is_b64(value: Any) -> bool:
    """Whether ``value`` is a b64 object. Its text is not decoded."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get(KEY), str)


def is_object(value: Any) -> bool:
    """Whether ``value`` is a JSON object but no b64 object: its members are named values."""
    return isinstance(value, dict) and not is_b64(value)


def decode_base64(text: str) -> bytes:
    """The bytes of base64 ``text``: standard alphabet, white space ignored, padding right or absent. Raises ValueError."""
    data = text.encode("ascii")
    # Alone, the strict decoder takes any padding after whole groups.
    if len(data) % 4 == 0 and not data.endswith(b"==="):
        try:
            return binascii.a2b_base64(data, strict_mode=True)
        except binascii.Error:  # the text may have what only this dialect takes
            pass
    data = data.translate(None, _ASCII_SPACE)
    digits = data.rstrip(_PADDING)
    missing = -len(digits) % 4
    if len(data) - len(digits) not in (0, missing):
        raise ValueError("wrong padding")
    return binascii.a2b_base64(digits + b"=" * missing, strict_mode=True)


def bytes_of_json_string(value: str | dict[str, Any]) -> bytes:
    """The bytes of a JSON string or a b64 object. Raises ValueError for other objects, and as ``decode_base64``."""
    if isinstance(value, str):
        return value.encode(errors="surrogateescape")  # as ``bytes_of_raw_text``
    if not is_b64(value):
        raise ValueError("not a b64 object")
    return decode_base64(value[KEY])


def b64_object(data: bytes) -> dict[str, str]:
    """The b64 object of ``data``, padded."""
    return {KEY: base64.b64encode(data).decode("ascii")}


def string_or_b64(data: bytes) -> str | dict[str, str]:
    """``data`` as a JSON string, or as a b64 object if it is not UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return b64_object(data)

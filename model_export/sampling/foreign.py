"""What a file is that holds no samples, told from its first bytes."""

import json

_PICTURE = 'a {} picture: give its bytes in a JSON body, in base64 as {{"b64": "..."}}'
_STARTS = {
    b"\x1f\x8b": "a gzip archive: unpack it",
    b"BZh": "a bzip2 archive: unpack it",
    b"\xfd7zXZ": "an xz archive: unpack it",
    b"7z\xbc\xaf": "a 7z archive: unpack it",
    b"\x28\xb5\x2f\xfd": "a zstd archive: unpack it",
    b"\x89PNG": _PICTURE.format("PNG"),
    b"\xff\xd8\xff": _PICTURE.format("JPEG"),
    b"\x89HDF": "an HDF5 file",
    b"\x80\x04": "a pickle of Python objects",
    b"\x80\x05": "a pickle of Python objects",
    b"PAR1": "a Parquet file",
}
_UNKNOWN = "neither text in UTF-8 nor a TFRecord of whole PredictionLogs"
_CONTROLS = set(range(32)) - set(b"\t\n\r\f")


def what_is(content: bytes) -> str:
    """Return what bytes are that are neither text in UTF-8 nor records, and what to do, in a few words."""
    known = next((kind for start, kind in _STARTS.items() if content.startswith(start)), "")
    if known:
        return known
    encoding = json.detect_encoding(content)
    if encoding != "utf-8" and content.decode(encoding, "replace").lstrip("\ufeff \t\r\n").startswith(("{", "[")):
        return f"JSON in {encoding[:6].upper()}: write it in UTF-8"
    return _UNKNOWN if _CONTROLS & set(content) else "text that is not in UTF-8: write it in UTF-8"

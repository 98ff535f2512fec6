"""NumPy's npz format: a zip archive of npy files, one for each array, read within bounds.

What a zip archive tells of itself is not believed: the directory is small or refused before it is read, and no file is inflated
beyond what all together may have.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Final

from gateway.codec.raw_tensor import Unreadable

_SUFFIX: Final = ".npy"
_END: Final = struct.Struct("<4s8xI6x")  # of the archive's directory: signature, size of the directory
_ZIP64_LOCATOR_BYTES: Final = 20
_MAX_DIRECTORY: Final = 65_536
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_BROKEN: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    OSError,
    ValueError,
    struct.error,
)


def unpack(data: bytes, limit: int) -> Iterator[tuple[str, bytes]]:
    """The name and the npy file of every array, in the order of the archive, ``limit`` bytes in all. Raises Unreadable."""
    _check_directory(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in archive.infolist():
                file = _inflated(archive, entry, limit)
                limit -= len(file)
                yield entry.filename.removesuffix(_SUFFIX), file
    except _BROKEN:
        raise Unreadable("a zip archive of npy files", "one that is broken") from None


def pack(files: Mapping[str, bytes]) -> bytes:
    """The archive of npy files by their arrays' names, not compressed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, file in files.items():
            archive.writestr(zipfile.ZipInfo(name + _SUFFIX), file)
    return buffer.getvalue()


def _check_directory(data: bytes) -> None:
    end = data[-_END.size :]
    is_zip = len(end) == _END.size and end.startswith(b"PK\5\6")
    before = data[-_END.size - _ZIP64_LOCATOR_BYTES : -_END.size]
    if not is_zip or before.startswith(b"PK\6\7") or _END.unpack(end)[1] > _MAX_DIRECTORY:
        raise Unreadable("a zip archive of npy files, without a comment", f"{len(data)} bytes that are none")


def _inflated(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limit: int) -> bytes:
    if entry.compress_type not in _METHODS or entry.flag_bits & 1:
        raise Unreadable("npy files, stored or deflated", f'"{entry.filename[:100]}" compressed or encrypted otherwise')
    with archive.open(entry) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise Unreadable("npy files within the limit for a body", "more than that, once inflated")
    return data

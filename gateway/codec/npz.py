"""NumPy's npz format: a zip archive of npy files, one for each array, read within bounds.

Nothing that a zip archive says about itself is trusted: a large directory is refused before it is read, all files together
inflate to a limited size, and bytes that belong to no file are refused.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Final

from gateway.codec.raw_tensor import Unreadable
from gateway.errors import body_too_large

_SUFFIX: Final = ".npy"
_END: Final = struct.Struct("<4s8xI6x")  # of the archive's directory: signature, size of the directory
_LOCAL: Final = struct.Struct("<4s22xHH")  # before a file: signature, sizes of its name and of its extra field
_DESCRIPTOR_BYTES: Final = 24  # at most, after a file whose sizes were not known when it was begun
_ZIP64_LOCATOR_BYTES: Final = 20
_MAX_DIRECTORY: Final = 65_536
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What zipfile raises for an archive that is broken; NotImplementedError is a RuntimeError.
_BROKEN: Final = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, OSError, ValueError)


def unpack_npz(data: bytes, limit: int) -> Iterator[tuple[str, bytes]]:
    """The name and the npy file of every array, in the order of the archive.

    Raises:
        Unreadable: the archive is not one that numpy writes.
        PayloadTooLarge: the files have more than ``limit`` bytes in all.
    """
    _check_directory(data)
    left = limit
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_gaps(data, archive)
            for entry in archive.infolist():
                file = _inflated(archive, entry, left + 1)
                left -= len(file)
                if left < 0:
                    raise body_too_large(limit, "the arrays inflate to more than")
                yield entry.filename.removesuffix(_SUFFIX), file
    except _BROKEN:
        raise Unreadable("a zip archive of npy files", "one that is broken") from None


def unpacked_bytes(data: bytes) -> int:
    """What the files of an archive say that they have in all; none inflates to more. 0 for an archive that is broken."""
    try:
        _check_directory(data)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return sum(entry.file_size for entry in archive.infolist())
    except (*_BROKEN, Unreadable):
        return 0


def pack_npz(files: Mapping[str, bytes]) -> bytes:
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
        raise Unreadable("a zip archive of npy files, without a comment", f"{len(data)} bytes that do not end as one")


def _check_gaps(data: bytes, archive: zipfile.ZipFile) -> None:
    at, slack = 0, 0
    for entry in sorted(archive.infolist(), key=lambda entry: entry.header_offset):
        _refuse_gap(entry.header_offset - at, slack)
        _, name_bytes, extra_bytes = _LOCAL.unpack_from(data, entry.header_offset)
        at = entry.header_offset + _LOCAL.size + name_bytes + extra_bytes + entry.compress_size
        slack = _DESCRIPTOR_BYTES if entry.flag_bits & 8 else 0
    _refuse_gap(archive.start_dir - at, slack)


def _refuse_gap(gap: int, slack: int) -> None:
    if not 0 <= gap <= slack:
        owner = "none of them" if gap > 0 else "two of them"
        raise Unreadable("a zip archive of npy files, one after the other", f"{abs(gap)} bytes that belong to {owner}")


def _inflated(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> bytes:
    if entry.compress_type not in _METHODS or entry.flag_bits & 1:
        raise Unreadable("npy files, stored or deflated", f'"{entry.filename[:100]}" compressed or encrypted otherwise')
    with archive.open(entry) as file:
        return file.read(most)

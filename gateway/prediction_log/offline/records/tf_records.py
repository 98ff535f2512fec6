"""TFRecord files: each record has its length, a checksum of that, the data, and a checksum of the data.

The layout is that of tensorflow/core/lib/io/record_writer.h; numbers are little-endian.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from gateway.prediction_log.offline.failure import ExportFailure
from gateway.prediction_log.offline.records.crc32c import masked_crc32c

_HEAD: Final = struct.Struct("<QI")
_CHECKSUM: Final = struct.Struct("<I")
_MOST_BYTES: Final = 2 << 30  # protobuf has no longer messages


def write_record(file: BinaryIO, data: bytes) -> None:
    """Append one record."""
    length = len(data).to_bytes(8, "little")
    file.write(length + _CHECKSUM.pack(masked_crc32c(length)))
    file.write(data)
    file.write(_CHECKSUM.pack(masked_crc32c(data)))


def records(path: Path) -> Iterator[bytes]:
    """The data of each record. Raises ExportFailure for a file that cannot be read or does not consist of whole records."""
    number = 0
    try:
        with path.open("rb") as file:
            while head := file.read(_HEAD.size):
                data = _data(file, head)
                if data is None:
                    what = f"it is damaged after {number} records" if number else "not a TFRecord file"
                    raise ExportFailure(f"{path}: {what}")
                number += 1
                yield data
    except OSError as error:
        raise ExportFailure(f"{path}: {error.strerror}") from error


def _data(file: BinaryIO, head: bytes) -> bytes | None:
    if len(head) < _HEAD.size:
        return None
    length, checksum = _HEAD.unpack(head)
    if checksum != masked_crc32c(head[:8]) or length > _MOST_BYTES:
        return None
    data, end = file.read(length), file.read(_CHECKSUM.size)
    is_whole = len(data) == length and len(end) == _CHECKSUM.size
    return data if is_whole and _CHECKSUM.unpack(end)[0] == masked_crc32c(data) else None

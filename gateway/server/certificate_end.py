"""When a certificate ends, read from its bytes: Python's ``ssl`` shows that of a peer only.

RFC 5280, 4.1: a Certificate is a SEQUENCE whose first member, TBSCertificate, holds the version (which may be missing), the
serial number, the signature's algorithm, the issuer, and then the Validity: two times, each a UTCTime or a GeneralizedTime.
"""

import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

_PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_EXPLICIT_VERSION: Final = 0xA0
_UTC_TIME: Final = 0x17
_VALIDITY: Final = 3  # serial number, algorithm, issuer, validity


def end_of(pem: str) -> float:
    """When the first of the certificates in ``pem`` ends, in Unix time. Raises ValueError when one cannot be read."""
    return min(_end_of_one(ssl.PEM_cert_to_DER_cert(found)) for found in _PEM.findall(pem))


def _end_of_one(der: bytes) -> float:
    try:
        (_, certificate), *_ = _members(der)
        (_, to_be_signed), *_ = _members(certificate)
        fields = [content for tag, content in _members(to_be_signed) if tag != _EXPLICIT_VERSION]
        _, (tag, text) = _members(fields[_VALIDITY])
    except IndexError:
        raise ValueError("it is cut off") from None
    # A year of two digits is one of 1950 to 2049.
    century = "" if tag != _UTC_TIME else "19" if text >= b"50" else "20"
    return datetime.strptime(century + text.decode(), "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _members(der: bytes) -> Iterator[tuple[int, bytes]]:
    """The tag and content of each value in ``der``. Raises IndexError when the last one is cut off."""
    at = 0
    while at < len(der):
        tag, size = der[at], der[at + 1]
        at += 2
        if size & 0x80:  # the long form: so many bytes of the length follow
            count = size & 0x7F
            size = int.from_bytes(der[at : at + count], "big")
            at += count
        if at + size > len(der):
            raise IndexError
        yield tag, der[at : at + size]
        at += size

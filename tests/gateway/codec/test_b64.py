"""The base64 that the dialects take; and that the typed decoder takes no more of it, and nothing otherwise."""

import itertools

import msgspec
import pytest

from gateway.codec.b64 import decode_base64
from gateway.codec.typed import Base64

DECODED = {
    "": b"",
    "aGVsbG8=": b"hello",
    "aGVsbG8": b"hello",
    "aGVs bG8\n=": b"hello",
    "aGVsbG8.": b"hello",
    "aGVs": b"hel",
    "AA==": b"\0",
    "AA.=": b"\0",
    "AB==": b"\0",
}
REFUSED = [
    "A",
    "=",
    "====",
    "AAAA=",
    "AAAA==",
    "AAAA===",
    "AAAA====",
    "AA=",
    "AA===",
    "AA==AA==",
    "aG-_",
    "_",
    "\u00e9",
    "AA=A",
]
ALPHABET = "Ag=. _"


@pytest.mark.parametrize(("text", "data"), DECODED.items())
def test_base64_is_decoded_with_or_without_its_padding(text, data):
    assert decode_base64(text) == data


@pytest.mark.parametrize("text", REFUSED)
def test_other_text_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - binascii's own words
        decode_base64(text)


@pytest.mark.parametrize("size", range(9))
def test_the_typed_decoder_takes_only_what_the_dialects_take(size):
    decoder = msgspec.json.Decoder(Base64)
    for letters in itertools.product(ALPHABET if size < 6 else "Ag=", repeat=size):
        text = "".join(letters)
        try:
            decoded = decoder.decode(f'{{"b64":"{text}"}}'.encode()).b64
        except msgspec.MsgspecError:
            continue
        assert decode_base64(text) == decoded

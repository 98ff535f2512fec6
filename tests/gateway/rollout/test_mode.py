"""How callers are known."""

import pytest

from gateway.rollout.mode import header_of, parse_mode


@pytest.mark.parametrize(
    ("text", "mode", "header"),
    [
        ("per-request", "per-request", None),
        ("key", "key", None),
        ("address", "address", None),
        ("header:X-User", "header:x-user", "x-user"),
    ],
)
def test_callers_are_known_by_a_key_an_address_a_header_or_not_at_all(text, mode, header):
    assert parse_mode(text) == mode
    assert header_of(mode) == header


@pytest.mark.parametrize("text", ["", "cookie", "header:", "header:X User", "header:a:b", "Key", "header:é"])
def test_another_mode_is_refused(text):
    with pytest.raises(ValueError, match="expected header:NAME"):
        parse_mode(text)

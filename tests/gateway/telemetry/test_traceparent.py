import pytest

from gateway.telemetry.traceparent import Parent, format_traceparent, parse_traceparent, tracestate_of

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("text", "is_sampled"),
    [
        (GOOD, True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),  # flags that are not known here
        (f"00-{TRACE}-{SPAN}-fe", False),
        (f"cc-{TRACE}-{SPAN}-01", True),  # a later version
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-holds", True),
    ],
)
def test_a_parent_is_read(text, is_sampled):
    assert parse_traceparent(text) == Parent(int(TRACE, 16), int(SPAN, 16), is_sampled)


@pytest.mark.parametrize(
    "text",
    [
        "",
        GOOD[:-1],
        f"{GOOD}0",
        f"{GOOD}-",  # version 00 has four fields
        f"{GOOD}-more",
        f"cc-{TRACE}-{SPAN}-01.what",
        f"ff-{TRACE}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        GOOD.upper(),
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0x",
        f" {GOOD}",
        f"{GOOD}\n",
        f"{GOOD}, {GOOD}",  # the header came twice
        f"00_{TRACE}_{SPAN}_01",
        f"00-{TRACE}-{SPAN}-\u0661\u0661",  # digits of another script
    ],
)
def test_what_is_not_as_the_specification_has_it_is_no_parent(text):
    assert parse_traceparent(text) is None


def test_a_parent_is_written_as_it_is_read():
    for is_sampled in (False, True):
        text = format_traceparent(int(TRACE, 16), 1, is_sampled=is_sampled)
        assert parse_traceparent(text) == Parent(int(TRACE, 16), 1, is_sampled)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("congo=t61rcWkgMzE", "congo=t61rcWkgMzE"),
        ("a=1,b=2 , c=3", "a=1,b=2 , c=3"),
        ("a" * 512, "a" * 512),
        ("a" * 513, ""),
        ("", ""),
        ("a=\u00e4", ""),
        ("a=1\x00", ""),
    ],
)
def test_a_tracestate_is_passed_on_unchanged_unless_it_is_too_long_or_no_text(given, kept):
    assert tracestate_of({"tracestate": given}) == kept
    assert tracestate_of({}) == ""


def test_a_tracestate_with_a_key_is_not_taken_over():
    assert tracestate_of({"tracestate": "a=sgk_0123abcd_secret"}) == ""

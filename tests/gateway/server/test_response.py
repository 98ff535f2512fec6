"""Answers as bytes."""

import pytest

from gateway.call import Answer
from gateway.server.response import encode_answer

DATE = "Thu, 26 Nov 2026 00:00:00 GMT"


def encoded(answer: Answer, *, keeps: bool = True, is_head: bool = False) -> bytes:
    return encode_answer(answer, date=DATE, keeps=keeps, is_head=is_head)


def test_an_answer_has_the_servers_headers_and_its_own_and_its_body():
    assert encoded(Answer(200, b"hello", [("Content-Type", "text/plain"), ("X-A", "caf\xe9")])) == (
        b"HTTP/1.1 200 OK\r\nServer: gateway\r\nDate: Thu, 26 Nov 2026 00:00:00 GMT\r\nConnection: keep-alive\r\n"
        b"Content-Length: 5\r\nContent-Type: text/plain\r\nX-A: caf\xe9\r\n\r\nhello"
    )


def test_an_answer_says_that_its_connection_is_closed():
    assert b"\r\nConnection: close\r\n" in encoded(Answer(200, b""), keeps=False)


def test_an_answer_to_head_has_the_length_of_the_body_only():
    data = encoded(Answer(200, b"hello"), is_head=True)
    assert b"\r\nContent-Length: 5\r\n" in data
    assert data.endswith(b"\r\n\r\n")


def test_an_answer_to_head_keeps_the_length_that_the_application_told():
    data = encoded(Answer(200, b"", [("Content-Length", "7")]), is_head=True)
    assert data.count(b"Content-Length") == 1
    assert b"\r\nContent-Length: 7\r\n" in data


@pytest.mark.parametrize("status", [204, 304])
def test_some_answers_have_neither_a_body_nor_a_length(status):
    data = encoded(Answer(status, b"hello"))
    assert b"Content-Length" not in data
    assert data.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "header", [("X-A", "1\r\nX-Evil: 1"), ("X-A", "1\n"), ("X-A", "1\r"), ("X\r\nA", "1"), ("X-A", "\u6f22")]
)
def test_a_header_that_would_break_the_head_is_refused(header):
    with pytest.raises(ValueError, match=r"end of line|codec"):
        encoded(Answer(200, b"", [header]))


@pytest.mark.parametrize(
    ("status", "line"), [(499, b"499 Client Closed Request"), (431, b"431 Request Header"), (299, b"299 ")]
)
def test_every_status_has_a_line(status, line):
    assert encoded(Answer(status, b"")).startswith(b"HTTP/1.1 " + line)

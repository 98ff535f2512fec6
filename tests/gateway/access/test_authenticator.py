"""Who sends a request: every way to give a key, every reason for a refusal, and what the check costs."""

import sys
from collections import Counter
from datetime import timedelta

import pytest

from gateway.access import key_text
from gateway.access.authenticator import Authenticator
from gateway.access.key_changes import rotated
from gateway.access.key_file import change
from gateway.access.key_set import KeySet
from gateway.errors import InvalidArgument, Unauthenticated
from tests.gateway.access.made_keys import NOW, check_limits, make_key, write


class Door:
    """An authenticator in front of a key file, and the time that its clock shows."""

    def __init__(self, path) -> None:
        self.path = path
        self.now = NOW
        self.uses: list[str] = []
        self._keys = KeySet(path, check_limits, settle_s=0)
        self._authenticator = Authenticator(self._keys.find, self.uses.append, lambda: self.now)

    def let_in(self, *keys):
        write(self.path, *keys)
        self._keys.look()

    def change(self, edit):
        change(self.path, check_limits, edit)
        self._keys.look()

    def identify(self, query: str = "", **headers: str):
        return self._authenticator.identify({name.replace("_", "-"): value for name, value in headers.items()}, query)

    def refusal(self, query: str = "", **headers: str):
        with pytest.raises((Unauthenticated, InvalidArgument)) as refused:
            self.identify(query, **headers)
        return refused.value


@pytest.fixture
def door(tmp_path):
    return Door(tmp_path / "keys.jsonl")


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer {}"},
        {"authorization": "bearer {}"},
        {"authorization": "BEARER   {} "},
        {"x_api_key": "{}"},
        {"x_api_key": "{}", "authorization": "Bearer {}"},
        {"x_api_key": "{}", "authorization": ""},
        {"x_api_key": "", "authorization": "Bearer {}"},
        {"x_api_key": "{}", "authorization": "Bearer "},
        {"x_api_key": "{}", "authorization": "Basic dXNlcjpwYXNz"},
    ],
)
def test_a_key_is_taken_from_either_header(door, headers):
    text, key = make_key(scopes=("predict", "admin"), models=("a",), limits="5/min")
    door.let_in(key)
    identity = door.identify(**{name: value.format(text) for name, value in headers.items()})
    assert (identity.name, identity.scopes, identity.models, identity.limits) == (
        "mobile",
        ("predict", "admin"),
        ("a",),
        "5/min",
    )
    assert door.uses == [key.id]


def test_every_key_is_told_from_the_others(door):
    made = [make_key(f"caller{number}") for number in range(100)]
    door.let_in(*(key for _, key in made))
    assert [door.identify(x_api_key=text) for text, _ in made] == [key for _, key in made]


def cases():
    known, key = make_key()
    _, expired_key = expired = make_key("late", expires=NOW)
    _, disabled_key = disabled = make_key("off", disabled=True)
    forged = key_text.new().text
    wrong_secret = forged_for(key.id)
    keys = (key, expired_key, disabled_key)
    return keys, {
        "none": ({}, "missing"),
        "empty ones": ({"authorization": "", "x_api_key": ""}, "missing"),
        "no key behind the scheme": ({"authorization": "Bearer"}, "missing"),
        "another scheme": ({"authorization": f"Basic {known}"}, "malformed"),
        "no scheme": ({"authorization": known}, "malformed"),
        "another kind of token": ({"authorization": "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x"}, "malformed"),
        "a letter too few": ({"x_api_key": known[:-1]}, "malformed"),
        "a letter too many": ({"x_api_key": known + "0"}, "malformed"),
        "a wrong letter": ({"x_api_key": known[:-1] + ("0" if known[-1] != "0" else "1")}, "malformed"),
        "a header that comes twice": ({"x_api_key": f"{known}, {known}"}, "malformed"),
        "bytes that are no text": ({"x_api_key": "\xff\x00é"}, "malformed"),
        "an unknown id": ({"x_api_key": forged}, "unknown"),
        "a wrong secret": ({"x_api_key": wrong_secret}, "unknown"),
        "a wrong secret for an expired key": ({"x_api_key": forged_for(expired_key.id)}, "unknown"),
        "a wrong secret for a disabled key": ({"x_api_key": forged_for(disabled_key.id)}, "unknown"),
        "the id of nobody": ({"x_api_key": forged_for("00000000")}, "unknown"),
        "an expired key": ({"x_api_key": expired[0]}, "expired"),
        "a disabled key": ({"authorization": f"Bearer {disabled[0]}"}, "disabled"),
    }


def forged_for(key_id: str) -> str:
    """A text of the right form and checksum with another's id."""
    body = f"sgk_{key_id}_{key_text.new().text[13:43]}"
    return body + key_text.checksum(body)


KEYS, REFUSALS = cases()


@pytest.mark.parametrize(("headers", "reason"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_is_401_with_a_challenge_and_the_reason(door, headers, reason):
    door.let_in(*KEYS)
    refused = door.refusal(**headers)
    assert isinstance(refused, Unauthenticated)
    assert (refused.http_status, refused.reason) == (401, reason)
    challenge = "Bearer" if reason == "missing" else 'Bearer error="invalid_token"'
    assert refused.headers == (("WWW-Authenticate", challenge),)
    assert door.uses == []
    if reason not in ("missing", "malformed"):
        assert reason in refused.message


@pytest.mark.parametrize(
    ("headers", "hint"),
    [
        ({"authorization": "Bearer {0}, Bearer {0}"}, "a comma, as a header has that comes twice"),
        ({"x_api_key": "{0}, {0}"}, "a comma, as a header has that comes twice"),
        ({"x_api_key": "Bearer {0}"}, "the word Bearer belongs to Authorization only"),
        ({"x_api_key": "x{0}"}, "a letter is wrong or missing"),
    ],
)
def test_what_is_around_a_key_is_named(door, headers, hint):
    text, key = make_key()
    door.let_in(key)
    refused = door.refusal(**{name: value.format(text) for name, value in headers.items()})
    assert (refused.reason, hint in refused.message) == ("malformed", True)
    assert text[13:] not in refused.message


def test_an_unknown_id_and_a_wrong_secret_cannot_be_told_apart(door):
    door.let_in(*KEYS)
    answers = {REFUSALS[case][1]: vars(door.refusal(**REFUSALS[case][0])) for case in ("an unknown id", "a wrong secret")}
    assert len(answers) == 1
    told = [door.refusal(**headers) for headers, reason in REFUSALS.values() if reason == "unknown"]
    assert len({(one.message, one.reason, one.headers) for one in told}) == 1


def calls_in(work) -> Counter[str]:
    """How often each function was called, those of C too."""
    seen: Counter[str] = Counter()

    def note(frame, event, argument) -> None:
        if event == "call":
            seen[frame.f_code.co_qualname] += 1
        elif event == "c_call":
            seen[argument.__name__] += 1

    sys.setprofile(note)
    try:
        work()
    except Unauthenticated:
        pass
    finally:
        sys.setprofile(None)
    del seen["setprofile"]
    return seen


def calls_of(door, case: str) -> Counter[str]:
    (name, value), *_ = REFUSALS[case][0].items()
    headers = {name.replace("_", "-"): value}
    return calls_in(lambda: door._authenticator.identify(headers, ""))


def test_an_unknown_id_and_a_wrong_secret_cost_the_same_calls(door):
    door.let_in(*KEYS)
    unknown, wrong = (calls_of(door, case) for case in ("an unknown id", "a wrong secret"))
    assert unknown == wrong == calls_of(door, "a wrong secret for a disabled key")
    assert wrong["openssl_sha256"] == wrong["compare_digest"] == 1


@pytest.mark.parametrize("case", ["a letter too few", "a letter too many", "another kind of token", "bytes that are no text"])
def test_no_hash_is_spent_on_what_has_not_the_length_and_prefix_of_a_key(door, case):
    door.let_in(*KEYS)
    calls = calls_of(door, case)
    assert calls["openssl_sha256"] == calls["compare_digest"] == 0
    assert calls["is_like_a_key"] == 1


def test_the_check_asks_nothing_of_the_system(tmp_path):
    """These are all functions of C that it calls: no file, no lock, no event loop."""
    text, key = make_key()
    write(tmp_path / "keys", key)
    keys = KeySet(tmp_path / "keys", check_limits)
    keys.look()
    authenticator = Authenticator(keys.find, keys.note_use)
    calls = calls_in(lambda: authenticator.identify({"authorization": f"Bearer {text}"}, "a=b"))
    python = {name for name in calls if "." in name or name in ("is_like_a_key", "sha256_of", "_text")}
    assert set(calls) - python == {
        *("get", "partition", "lower", "strip", "encode", "startswith", "add"),  # of dict, str and set
        *("len", "openssl_sha256", "hexdigest", "compare_digest"),
    }


def test_two_different_keys_are_a_bad_request(door):
    (text, key), (other_text, other) = make_key("a"), make_key("b")
    door.let_in(key, other)
    refused = door.refusal(x_api_key=text, authorization=f"Bearer {other_text}")
    assert isinstance(refused, InvalidArgument)
    assert "two different keys" in refused.message
    assert door.uses == []


@pytest.mark.parametrize("query", ["key={}", "{}", "a=b&api_key={}&c", "access_token=Bearer+{}"])
def test_a_key_in_the_query_is_a_bad_request_whatever_the_headers_hold(door, query):
    text, key = make_key()
    door.let_in(key)
    for headers in ({}, {"x_api_key": text}):
        refused = door.refusal(query.format(text), **headers)
        assert isinstance(refused, InvalidArgument)
        assert "count it as lost" in refused.message
        assert text[13:] not in refused.message


def test_another_query_is_nothing_to_the_check(door):
    text, key = make_key()
    door.let_in(key)
    assert door.identify("verbose=1&key=abc", x_api_key=text) == key


def test_a_key_expires_while_the_gateway_runs(door):
    text, key = make_key(expires=NOW + timedelta(seconds=10))
    door.let_in(key)
    door.now = NOW + timedelta(seconds=9, microseconds=999_999)
    assert door.identify(x_api_key=text) == key
    door.now = NOW + timedelta(seconds=10)
    assert door.refusal(x_api_key=text).reason == "expired"


def test_both_keys_of_a_rotated_name_are_one_caller_until_the_overlap_ends(door):
    text, key = make_key()
    new = key_text.new()
    door.let_in(key)
    door.change(lambda keys: rotated(keys, "mobile", new, NOW, timedelta(hours=24)))
    assert door.identify(x_api_key=text).name == door.identify(x_api_key=new.text).name == "mobile"
    assert door.uses == [key.id, new.id]
    door.now = NOW + timedelta(hours=24)
    assert door.refusal(x_api_key=text).reason == "expired"
    assert door.identify(x_api_key=new.text).name == "mobile"


@pytest.mark.parametrize("keys", [(), tuple(make_key(expires=NOW)[1] for _ in range(2))])
def test_an_empty_or_wholly_expired_file_lets_nobody_in(door, keys):
    door.let_in(*keys)
    text, _ = make_key()
    assert door.refusal(x_api_key=text).reason == "unknown"
    assert door.refusal().reason == "missing"


def test_a_missing_file_lets_nobody_in(door):
    assert door.refusal(x_api_key=key_text.new().text).reason == "unknown"

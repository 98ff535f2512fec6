"""What a key allows, and until when; and what is no key."""

from datetime import timedelta

import pytest

from gateway.access.key import SCOPES
from gateway.errors import PermissionDenied
from tests.gateway.access.made_keys import NOW, make_key

SECOND = timedelta(seconds=1)


def key(**changes: object):
    return make_key(**changes)[1]


@pytest.mark.parametrize("scope", SCOPES)
def test_a_scope_includes_no_other(scope):
    assert [other for other in SCOPES if key(scopes=(scope,)).allows(other)] == [scope]


@pytest.mark.parametrize(
    ("models", "allowed", "refused"),
    [
        (("*",), ["digits", "", "a/b"], []),
        (("digits",), ["digits"], ["digits2", "Digits", "adigits", "digits\n", ""]),
        (("digits*",), ["digits", "digits_v2"], ["digit", "xdigits", "DIGITS"]),
        (("digits", "dense-?"), ["digits", "dense-1"], ["dense-", "dense-12"]),
        (("m[0-9]",), ["m1"], ["m", "ma", "m12"]),
        (("a.c",), ["a.c"], ["abc"]),
        (("[[]", "x"), ["[", "x"], ["y"]),
    ],
)
def test_models_are_allowed_by_name_or_pattern(models, allowed, refused):
    one = key(models=models)
    assert all(one.allows_model(name) for name in allowed)
    assert not any(one.allows_model(name) for name in refused)


def test_what_a_key_has_is_not_refused():
    key(scopes=("predict", "metadata"), models=("digits*",)).require("metadata", "digits2")
    key(models=("digits*",)).require("predict")


def test_a_refusal_names_the_scope_or_the_model():
    with pytest.raises(PermissionDenied, match=r"^the key mobile has no scope admin; it has predict, metadata$"):
        key(scopes=("predict", "metadata")).require("admin", "digits")
    with pytest.raises(PermissionDenied, match=r"^the key mobile may not use the model dense$"):
        key(models=("digits*",)).require("predict", "dense")


def test_a_refusal_is_short_and_shows_no_secret_even_if_a_model_is_called_so():
    text, one = make_key(models=("digits",))
    with pytest.raises(PermissionDenied) as refused:
        one.require("predict", text + "x" * 5000)
    assert text[13:] not in refused.value.message
    assert len(refused.value.message) < 200


def test_a_key_is_valid_until_it_expires():
    one = key(expires=NOW)
    assert [one.state(NOW + shift) for shift in (-SECOND, 0 * SECOND, SECOND)] == ["live", "expired", "expired"]
    assert key().state(NOW + timedelta(days=9999)) == "live"


def test_a_disabled_key_is_disabled_whether_it_has_expired_or_not():
    assert key(disabled=True).state(NOW) == key(disabled=True, expires=NOW).state(NOW) == "disabled"


def test_its_hash_is_not_shown():
    one = key()
    assert repr(one) == f"Key({one.id}, 'mobile')"


@pytest.mark.parametrize("pattern", ["[abc]", "a[!b]c*", "[]]", "[!]]", "[[]", "a]", "x" * 200])
def test_patterns_of_models(pattern):
    assert key(models=(pattern,)).models == (pattern,)


@pytest.mark.parametrize("name", ["a", "7", "team@example.org", "A-b_c.d", "x" * 64])
def test_names(name):
    assert key(name=name).name == name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, r"name: expected 1 to 64 letters.*, got ''"),
        ({"name": "-h"}, r"name: .* got '-h'"),
        ({"name": "a b"}, r"name: .* got 'a b'"),
        ({"name": "a\n"}, r"name: "),
        ({"name": "ä"}, r"name: "),
        ({"name": "x" * 65}, r"name: "),
        ({"name": "sgk_x"}, r"name: "),
        ({"name": "a-sgk_x"}, r"name: "),
        ({"models": ("*sgk_x",)}, r"models: "),
        ({"scopes": ()}, r"scopes: expected at least one, got none"),
        ({"scopes": ("predict", "predct")}, r"scopes: expected some of predict, metadata, admin, metrics, got 'predct'"),
        ({"scopes": ("",)}, r"scopes: .* got ''"),
        ({"models": ()}, r"models: expected at least one"),
        ({"models": ("digits", "a b")}, r"models: expected names of models or patterns.*, got 'a b'"),
        ({"models": ("a/b",)}, r"models: "),
        *[
            ({"models": (pattern,)}, r"models: .* whose brackets are closed, got")
            for pattern in ("[abc", "a[", "[]", "[!]", "[a]b[")
        ],
        ({"models": ("a\x1b[31m",)}, r"models: "),
        ({"models": ("",)}, r"models: "),
    ],
)
def test_what_is_no_name_scope_or_pattern_is_told(changes, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        key(**changes)

"""What becomes of the keys of a file when one is added, rotated or disabled."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from gateway.access import key_text
from gateway.access.key_changes import KeyChangeError, added, disabled, rotated
from tests.gateway.access.made_keys import NOW, make_key

DAY = timedelta(days=1)


def key(name: str = "mobile", **changes: object):
    return make_key(name, **changes)[1]


def test_a_key_of_a_new_name_is_added():
    one, other = key("a"), key("b")
    assert added((one,), other) == (one, other)


def test_a_name_with_a_valid_key_gets_no_other():
    with pytest.raises(KeyChangeError, match="there is a key mobile already; `keys rotate mobile` gives it a new secret"):
        added((key(), key("b")), key(created=NOW))


@pytest.mark.parametrize("changes", [{"disabled": True}, {"expires": NOW}])
def test_a_name_whose_keys_are_all_invalid_may_be_used_again(changes):
    old, new = key(**changes), key(created=NOW)
    assert added((old,), new) == (old, new)


def test_rotation_gives_a_second_key_that_may_do_the_same():
    old = key(scopes=("predict", "admin"), models=("a*",), limits="5/min")
    other, new = key("other"), key_text.new()
    assert rotated((old, other), "mobile", new, NOW, DAY) == (
        replace(old, expires=NOW + DAY),
        other,
        replace(old, id=new.id, sha256=new.sha256, created=NOW, expires=None),
    )


def test_a_rotated_key_is_valid_for_as_long_as_the_old_one_was_made_for():
    old = key(created=NOW - 80 * DAY, expires=NOW + 10 * DAY)
    *_, new = rotated((old,), "mobile", key_text.new(), NOW, DAY)
    assert new.expires == NOW + 90 * DAY


def test_the_overlap_makes_no_key_valid_for_longer():
    old = key(expires=NOW + DAY / 2)
    assert rotated((old,), "mobile", key_text.new(), NOW, DAY)[0] == old


def test_after_a_second_rotation_each_key_ends_within_its_overlap():
    keys = rotated((key(),), "mobile", key_text.new(), NOW, DAY)
    keys = rotated(keys, "mobile", key_text.new(), NOW + DAY / 2, 2 * DAY)
    assert [one.expires for one in keys] == [NOW + DAY, NOW + 2.5 * DAY, None]


def test_without_an_overlap_only_the_new_key_is_valid():
    keys = rotated((key(),), "mobile", key_text.new(), NOW, 0 * DAY)
    assert [one.state(NOW) for one in keys] == ["expired", "live"]


def test_rotation_leaves_invalid_keys_of_the_name_as_they_are():
    gone = (key(disabled=True), key(expires=NOW))
    assert rotated((*gone, key()), "mobile", key_text.new(), NOW, DAY)[:2] == gone


@pytest.mark.parametrize(
    "change", [lambda keys: rotated(keys, "x", key_text.new(), NOW, DAY), lambda keys: disabled(keys, "x")]
)
def test_an_unknown_name_is_told_with_those_there_are(change):
    with pytest.raises(KeyChangeError, match="there is no key x; there are: a, b"):
        change((key("a"), key("b"), key("a")))
    with pytest.raises(KeyChangeError, match="there is no key x; there are: none"):
        change(())


def test_an_invalid_key_is_not_rotated():
    with pytest.raises(KeyChangeError, match="each key mobile has expired or is disabled; `keys new mobile` makes one"):
        rotated((key(disabled=True), key(expires=NOW)), "mobile", key_text.new(), NOW, DAY)


def test_every_key_of_a_name_is_disabled_and_no_other():
    keys = disabled((key(), key("b"), key(), key(disabled=True)), "mobile")
    assert [one.disabled for one in keys] == [True, False, True, True]

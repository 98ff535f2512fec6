"""Over which keys a caller has a say."""

import pytest

from gateway.access.authority import Authority
from gateway.errors import PermissionDenied
from tests.gateway.access.made_keys import make_key


def authority(*models, scopes=("admin",)):
    return Authority("boss", scopes, models)


@pytest.mark.parametrize(
    ("own", "models", "is_covered"),
    [
        (("*",), ("*",), True),
        (("*",), ("digits*", "dense"), True),
        (("dense", "*"), ("?",), True),
        (("digits*",), ("digits*",), True),
        (("digits*",), ("digits_2",), True),
        (("digits*", "dense"), ("dense", "digits"), True),
        (("digits*",), ("*",), False),
        (("digits*",), ("digits?",), False),  # it would be, but patterns are not compared with patterns
        (("digits*",), ("digit",), False),
        (("digits",), ("digits*",), False),
        (("digits*",), ("digits", "dense"), False),
        (("[ab]",), ("a",), True),
        (("[ab]",), ("[ab]",), True),
        (("[ab]",), ("A",), False),
    ],
)
def test_models_are_covered_by_a_pattern_that_is_equal_or_allows_the_name(own, models, is_covered):
    _, key = make_key(models=models)
    assert authority(*own).may_manage(key) == is_covered
    assert authority(*own).visible([key]) == ((key,) if is_covered else ())


def test_a_caller_for_all_models_gives_any_scope():
    authority("*").require("x", ("predict", "metadata", "admin", "metrics"), ("*",))


def test_the_metrics_show_all_models_so_that_a_caller_for_some_gives_them_only_if_it_has_them():
    authority("digits", scopes=("admin", "metrics")).require("x", ("metrics",), ("digits",))
    authority("digits").require("x", ("predict", "metadata", "admin"), ("digits",))
    with pytest.raises(PermissionDenied, match="may not manage the key x: the scope metrics shows all models"):
        authority("digits").require("x", ("metrics",), ("digits",))


def test_a_refusal_says_which_models_are_beyond():
    with pytest.raises(
        PermissionDenied, match=r"the key boss may not manage the key x: its models \*, dense are not covered by "
    ):
        authority("digits*").require("x", ("predict",), ("*", "digits_1", "dense"))

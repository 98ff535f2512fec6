"""What an error says besides upstream's words: true, nearest first, and never longer than it helps."""

import pytest

from gateway.errors import InvalidArgument, NotFound, Problem, Unavailable, UnknownModel
from gateway.inference.signature import ModelRef, ServedModel, Signature
from gateway.inference.status import ModelStatus, VersionStatus
from gateway.inference.suggestions import listed_names, no_signature, not_found, unserved, with_hint, with_served

LOADED = VersionStatus(2, "AVAILABLE")
BROKEN = VersionStatus(3, "END", "INVALID_ARGUMENT", "no graph")


def status(name, *versions):
    return ModelStatus(name, versions)


MODELS = (status("digits", BROKEN, LOADED), status("dense", LOADED), status("broken", BROKEN))


@pytest.mark.parametrize(
    ("model", "labels", "hint"),
    [
        (ModelRef("broken"), (), "broken: no version is AVAILABLE; version 3 failed: INVALID_ARGUMENT: no graph"),
        (ModelRef("digits", 7), (), "digits has the versions: 2"),
        (ModelRef("digits", label="a"), (), "digits has the versions: 2"),
        (
            ModelRef("digits", label="a"),
            ("best", "new"),
            "digits has the versions: 2; labels in the server's config: best, new",
        ),
    ],
)
def test_what_is_not_found_is_answered_with_what_there_is(model, labels, hint):
    error = (InvalidArgument if model.label else NotFound)("upstream's words")
    explained = not_found(error, model, MODELS, labels)
    assert type(explained) is type(error)
    assert explained.message == f"upstream's words. {hint}"


@pytest.mark.parametrize(
    ("model", "hidden", "hint"),
    [
        (ModelRef("digts"), "", "Did you mean digits?"),
        (ModelRef("zzz"), "", "Served are: digits, dense"),
        (ModelRef("zzz", label="a"), "", "Served are: digits, dense"),
        (ModelRef("digts"), "digits", "Served are: dense"),
        (ModelRef("zzz"), "dense", "Served are: digits"),
    ],
)
def test_what_nobody_serves_is_answered_with_what_its_caller_may_see(model, hidden, hint):
    error = (InvalidArgument if model.label else NotFound)("upstream's words")
    for_all = not_found(error, model, MODELS)
    explained = with_served(for_all, for_all.unknown_model, lambda name: name != hidden)
    assert type(explained) is type(error)
    assert (for_all.message, explained.message) == ("upstream's words", f"upstream's words. {hint}")


def test_the_nearest_of_many_names_that_are_alike_is_found():
    served = tuple(f"team-07-model-{number:04}" for number in range(1_000))
    for mistyped in ("team-07-modl-0123", "tema-07-model-0123", "Team-07-model-0123", "team-07-model-01233"):
        hint = with_served(NotFound("no"), UnknownModel(mistyped, served), lambda name: True).message
        assert "team-07-model-0123" in hint


def test_nothing_served_is_said():
    assert with_served(NotFound("no"), UnknownModel("m", ()), lambda name: True).message == "no. Served are: none"


def test_a_caller_that_may_see_none_is_not_told_that_none_are_served():
    told = with_served(NotFound("no"), UnknownModel("m", ("a",)), lambda name: False).message
    assert told == "no. GET /v1/models with a key lists the models that are for it"


@pytest.mark.parametrize(
    ("model", "is_status", "words"),
    [
        (ModelRef("m"), False, "Servable not found for request: Latest(m)"),
        (ModelRef("m", 3), False, "Servable not found for request: Specific(m, 3)"),
        (ModelRef("m"), True, "Could not find any versions of model m"),
        (ModelRef("m", 3), True, "Could not find version 3 of model m"),
        (ModelRef("m", label="a"), True, "Unrecognized servable version label: a"),
    ],
)
def test_a_hidden_model_is_refused_in_the_words_of_the_model_server(model, is_status, words):
    error = unserved(model, MODELS, is_status=is_status)
    assert (error.message, error.http_status) == (words, 400 if model.label else 404)
    assert error.unknown_model == UnknownModel("m", ("digits", "dense"))


@pytest.mark.parametrize(("error", "model"), [(Unavailable("away"), ModelRef("m")), (InvalidArgument("bad"), ModelRef("m", 1))])
def test_other_errors_stay_as_they_are(error, model):
    assert not_found(error, model, MODELS) is error


def test_a_hint_keeps_the_problems_of_an_error():
    problem = Problem("/x", "a", "b")
    hinted = with_hint(InvalidArgument("no.", [problem], omitted=3), "why")
    assert (hinted.message, hinted.problems, hinted.omitted) == ("no. why", (problem,), 3)


def test_hints_are_bounded_whatever_the_names():
    models = tuple(status(f"model{number}" + "x" * 5000, LOADED) for number in range(1000))
    unknown = not_found(NotFound("no"), ModelRef("y" * 5000), models).unknown_model
    hint = with_served(NotFound("no"), unknown, lambda name: True).message
    assert len(hint) < 1100
    assert "and 990 more" in listed_names(range(1000))


def test_the_signatures_of_a_version_are_told_nearest_first():
    signatures = {name: Signature(name, "", (), ()) for name in ("__init", "regress_x", "classify_x", "serving_default")}
    assert no_signature("classify", ServedModel("m", 2, signatures)) == (
        "Version 2 of m has: classify_x, regress_x, serving_default"
    )

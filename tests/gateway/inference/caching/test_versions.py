"""What the server last answered with is learnt from replies, whatever their order."""

from gateway.inference.caching.versions import AnsweredVersions
from gateway.inference.signature import ModelRef

LATEST, STABLE = ModelRef("m"), ModelRef("m", label="stable")


def version(answered, model):
    known = answered.latest(model)
    return known and known.version


def test_nothing_is_known_before_a_reply():
    assert AnsweredVersions().latest(LATEST) is None


def test_a_reply_that_was_overtaken_says_nothing():
    answered = AnsweredVersions()
    answered.note(LATEST, 1, answered.now)
    began_before = answered.now
    answered.note(LATEST, 2, answered.now)
    answered.note(LATEST, 1, began_before)
    assert version(answered, LATEST) == 2


def test_a_rollback_is_believed_to_a_call_that_began_after_the_new_version():
    answered = AnsweredVersions()
    for number in (1, 2, 1, 2, 1):
        answered.note(LATEST, number, answered.now)
        assert version(answered, LATEST) == number


def test_the_same_version_again_is_no_change():
    answered = AnsweredVersions()
    answered.note(LATEST, 1, answered.now)
    known = answered.latest(LATEST)
    answered.note(LATEST, 1, answered.now)
    assert answered.latest(LATEST) is known


def test_each_model_and_label_is_known_by_itself():
    answered = AnsweredVersions()
    answered.note(LATEST, 3, answered.now)
    answered.note(STABLE, 2, answered.now)
    answered.note(ModelRef("other"), 9, answered.now)
    assert (version(answered, LATEST), version(answered, STABLE)) == (3, 2)
    assert answered.latest(ModelRef("m", label="canary")) is None


def test_a_newer_version_that_answers_by_number_or_label_is_the_latest_too():
    for model in (ModelRef("m", version=2), STABLE):
        answered = AnsweredVersions()
        answered.note(LATEST, 1, answered.now)
        answered.note(model, 2, answered.now)
        assert version(answered, LATEST) == 2


def test_an_older_version_that_answers_by_number_changes_nothing():
    answered = AnsweredVersions()
    answered.note(ModelRef("m", version=5), 5, answered.now)
    assert answered.latest(LATEST) is None
    answered.note(LATEST, 3, answered.now)
    answered.note(ModelRef("m", version=1), 1, answered.now)
    answered.note(STABLE, 2, answered.now)
    assert version(answered, LATEST) == 3


def test_a_request_that_names_its_version_does_not_depend_on_any_of_this():
    answered = AnsweredVersions()
    answered.note(LATEST, 2, answered.now)
    assert answered.latest(ModelRef("m", version=1)) is None

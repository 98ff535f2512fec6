"""A question is asked once, however many want to know; an error is its asker's own."""

import threading

import pytest

from gateway.backend.shared_question import SharedQuestions
from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded
from tests.waiting import wait_for

SOON, LATER = Deadline(at_s=0.0, budget_s=0.0), 5.0


class Asked:
    """What ``ask`` calls: it answers, or raises, when it is let go on."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()
        self._error = error

    def __call__(self) -> str:
        self.begun.set()
        assert self.may_end.wait(LATER)
        if self._error is not None:
            raise self._error
        return "answer"


def ask_in_thread(questions: SharedQuestions, asked: Asked) -> tuple[threading.Thread, list[object]]:
    told: list[object] = []

    def ask() -> None:
        try:
            told.append(questions.ask("q", Deadline.after(LATER), asked))
        except ValueError as error:
            told.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    return thread, told


@pytest.mark.parametrize("error", [None, ValueError("no")], ids=["an answer", "an error"])
def test_who_asks_the_same_meanwhile_waits_and_is_told_to_look(error):
    questions, asked = SharedQuestions(), Asked(error)
    first, answer = ask_in_thread(questions, asked)
    assert asked.begun.wait(LATER)
    others = [ask_in_thread(questions, Asked()) for _ in range(3)]
    wait_for(lambda: len(questions._waiting["q"]) == len(others))
    asked.may_end.set()
    for thread, _ in [(first, answer), *others]:
        thread.join(LATER)

    assert answer == [error or "answer"]
    assert [told for _, told in others] == [[None]] * 3
    assert questions._waiting == {}


def test_another_question_waits_for_nobody():
    questions, asked = SharedQuestions(), Asked()
    thread, _ = ask_in_thread(questions, asked)
    assert asked.begun.wait(LATER)

    assert questions.ask("another", Deadline.after(LATER), lambda: 1) == 1
    asked.may_end.set()
    thread.join(LATER)


def test_nobody_waits_beyond_the_deadline():
    questions, asked = SharedQuestions(), Asked()
    thread, _ = ask_in_thread(questions, asked)
    assert asked.begun.wait(LATER)

    with pytest.raises(DeadlineExceeded):
        questions.ask("q", SOON, lambda: 1)
    asked.may_end.set()
    thread.join(LATER)

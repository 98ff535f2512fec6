"""What ends a benchmark: each error's text is one line for whoever runs it."""


class BenchError(Exception):
    """The benchmark cannot be run, or its result would mean nothing. The text says what is wrong and what to do."""


class WrongAnswer(BenchError):
    """A contender gave an answer that is not the model's."""

"""What ends a benchmark: the text of each error is one line for the user."""


class BenchError(Exception):
    """Raised when the benchmark cannot be run, or its result would mean nothing. The text says what is wrong and what to do."""


class WrongAnswer(BenchError):
    """Raised when a contender gave an answer that is not the model's."""

"""A client that never stops asking, to see what a change under load does to requests."""

import threading
from dataclasses import dataclass
from types import TracebackType

import requests

HALF_PLUS_TWO = {"instances": [1.0, 2.0, 5.0]}


@dataclass(frozen=True)
class Answer:
    """What came of one request: the status (0 without an answer), the version that answered, and the body."""

    status: int
    version: str
    body: str


class Traffic:
    """Requests to half_plus_two or a model like it, one after the other, for as long as the context is open."""

    def __init__(self, port: int, model: str = "half_plus_two", key: str = "") -> None:
        self.answers: list[Answer] = []
        self._url = f"http://127.0.0.1:{port}/v1/models/{model}:predict"
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="traffic")

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ending.set()
        self._thread.join()

    @property
    def last(self) -> Answer:
        """The newest answer; one that was never given before the first."""
        return self.answers[-1] if self.answers else Answer(0, "", "")

    def _ask(self) -> None:
        with requests.Session() as session:
            session.headers.update(self._headers)
            while not self._ending.wait(0.005):
                try:
                    reply = session.post(self._url, json=HALF_PLUS_TWO, timeout=10)
                    self.answers.append(Answer(reply.status_code, reply.headers.get("X-Model-Version", ""), reply.text))
                except requests.RequestException as error:
                    self.answers.append(Answer(0, "", repr(error)))

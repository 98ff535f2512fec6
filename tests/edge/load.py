"""Clients that ask through nginx without a pause, each request under an id of its own, and know what must be answered."""

import http.client
import json
import threading
from collections import Counter
from dataclasses import dataclass, field

from tests.edge.nginx import Edge

PATH = "/v1/models/half_plus_two:predict"


@dataclass
class Tally:
    """What became of the requests, by their ids. Only the client's own thread writes it."""

    sent: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)  # with 200, and rightly
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    closed: Counter[str] = field(default_factory=Counter)  # connections that ended without an answer, by the error


class Load:
    """Asks on ``clients`` connections at a time from enter to exit."""

    def __init__(self, edge: Edge, clients: int = 16) -> None:
        self._edge = edge
        self._is_over = threading.Event()
        self._tallies = [Tally() for _ in range(clients)]
        self._threads = [
            threading.Thread(target=self._keep_asking, args=(number, tally)) for number, tally in enumerate(self._tallies)
        ]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    @property
    def tally(self) -> Tally:
        """All of it."""
        whole = Tally()
        for one in self._tallies:
            whole.sent |= one.sent
            whole.answered |= one.answered
            whole.statuses += one.statuses
            whole.wrong += one.wrong
            whole.closed += one.closed
        return whole

    def _keep_asking(self, number: int, tally: Tally) -> None:
        connection = http.client.HTTPSConnection("localhost", self._edge.port, context=self._edge.context(), timeout=60)
        while not self._is_over.is_set():
            asked = number + 100 * len(tally.sent)
            request_id = f"load-{asked}"
            tally.sent.add(request_id)
            try:
                connection.request("POST", PATH, json.dumps({"instances": [asked]}), {"X-Request-Id": request_id})
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                tally.closed[type(error).__name__] += 1
                connection.close()
                continue
            tally.statuses[answer.status] += 1
            if answer.headers["X-Request-Id"] != request_id:
                tally.wrong.append(f"{request_id}: the id of {answer.headers['X-Request-Id']}")
            elif answer.status != 200:
                continue
            elif json.loads(body) == {"predictions": [asked / 2 + 2]}:
                tally.answered.add(request_id)
            else:
                tally.wrong.append(f"{request_id}: {body!r}")
        connection.close()

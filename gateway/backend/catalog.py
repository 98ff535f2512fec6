"""Which models, versions and signatures exist: asked of the server, followed by polling, remembered between polls.

The server's model config file says which models there should be. A name that is not in it is asked for when a request brings
it, and followed from then on for as long as the server serves it. Thread-safe; one polling thread for each process.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from gateway.backend import replies
from gateway.backend.client import AWAY, BackendClient
from gateway.backend.model_config import ModelConfigFile
from gateway.backend.shared_question import SharedQuestions
from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded, GatewayError, InvalidArgument, NotFound, Unavailable
from gateway.inference import hints
from gateway.inference.signature import ModelRef, ServedModel
from gateway.inference.status import ModelStatus
from gateway.telemetry.logs import logger
from gateway.telemetry.metrics import MODEL_READY

log = logger("catalog")

_POLL_DEADLINE_S = 2.0
# While the server is away a poll costs next to nothing, and its return should be noticed soon.
_AWAY_POLL_S = 0.25
# Between two polls, however much there is to see.
_LEAST_S = 0.05
_NOT_ASKED_YET = "the model server has not been asked yet"


class Catalog:
    """``served`` answers from memory when it can; ``status`` and ``metadata`` ask the server each time."""

    def __init__(
        self,
        client: BackendClient,
        config_file: ModelConfigFile | None,
        poll_s: float,
        on_gone: Collection[Callable[[str, int], None]] = (),
    ) -> None:
        """Each of ``on_gone`` is called with the name and number of a version that is no longer served; it must not wait."""
        self._client = client
        self._on_gone = on_gone
        self._config_file = config_file
        self._poll_s = poll_s
        self._lock = threading.Lock()
        self._statuses: dict[str, ModelStatus] = {}
        self._served: dict[tuple[str, int], ServedModel] = {}
        self._labels: dict[tuple[str, str], tuple[float, ServedModel]] = {}
        self._seen: dict[tuple[str, int], float] = {}  # versions that answered since the last poll: until when that counts
        self._questions = SharedQuestions()
        self._stop = threading.Event()
        self._must_poll = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="catalog", daemon=True)
        self._take_up_names()

    def start(self) -> None:
        """Begin to poll: at the set interval, and at once when the server goes away or comes back."""
        self._client.on_change = self._must_poll.set
        self._thread.start()

    def close(self) -> None:
        """Stop polling."""
        self._stop.set()
        self._must_poll.set()
        if self._thread.is_alive():
            self._thread.join()

    def models(self) -> tuple[ModelStatus, ...]:
        """What the last poll found of every configured or followed model, by name."""
        with self._lock:
            return tuple(self._statuses[name] for name in sorted(self._statuses))

    def known(self, name: str) -> tuple[ServedModel, ...]:
        """The versions of a model that answer and whose signatures are known, newest first. Never asks the server."""
        with self._lock:
            found = [served for (model, _), served in self._served.items() if model == name]
        return tuple(sorted(found, key=lambda served: -served.version))

    def required(self) -> tuple[ModelStatus, ...]:
        """What the last poll found of the models that must be served: those of the config file, or all when there is none."""
        return tuple(model for model in self.models() if self._config_file is None or model.name in self._config_file.names)

    def configured(self) -> tuple[ModelStatus, ...]:
        """As ``required``, and none without a config file: every worker answers the same."""
        return () if self._config_file is None else self.required()

    def is_reachable(self) -> bool:
        """Whether the connection to the server stands."""
        return self._client.is_connected

    def served(self, model: ModelRef, deadline: Deadline) -> ServedModel:
        """The version that ``model`` means now, with its signatures.

        Raises:
            NotFound: no such model or version is served.
            InvalidArgument: no such label.
            GatewayError: the server could not be asked.
        """
        for _ in range(2):
            served = self._remembered(model) or self._questions.ask(model, deadline, partial(self.refreshed, model, deadline))
            if served is not None:
                return served
        # Who asked instead got no answer.
        return self.refreshed(model, deadline)

    def refreshed(self, model: ModelRef, deadline: Deadline) -> ServedModel:
        """The version that ``model`` means at this moment, asked of the server. Raises as ``served``."""
        with self._telling_what_there_is(model):
            served = replies.served_model(self._client.metadata(model, deadline))
        with self._lock:
            served = self._kept(served)
            self._note_seen(served)
            if model.label is not None:
                self._labels[model.name, model.label] = (time.monotonic() + self._poll_s, served)
            self._statuses.setdefault(served.name, ModelStatus(served.name, problem=_NOT_ASKED_YET))
        return served

    def note_missing(self, model: ModelRef) -> None:
        """The server has refused a call because it does not serve ``model``: what is remembered of it is forgotten.

        It may be back, as another model under the same number, before the next poll.
        """
        with self._lock:
            gone = {
                (name, version)
                for name, version in self._served
                if name == model.name and model.label is None and model.version in (None, version)
            }
            if gone:
                self._drop(gone)
                self._must_poll.set()

    def status(self, model: ModelRef, deadline: Deadline) -> ModelStatus:
        """The versions of ``model`` as the server reports them now; a label is resolved first. Raises as ``served``."""
        if model.label is not None:
            model = ModelRef(model.name, self.served(model, deadline).version)
        with self._telling_what_there_is(model):
            status = ModelStatus(model.name, replies.versions(self._client.status(model, deadline).model_version_status))
        if model.version is None:
            self._note(status)
        return status

    def metadata(self, model: ModelRef, deadline: Deadline) -> dict[str, Any]:
        """The JSON of TensorFlow Serving's metadata route for ``model``. Raises as ``served``."""
        with self._telling_what_there_is(model):
            response = self._client.metadata(model, deadline)
        return replies.metadata_json(response)

    @contextmanager
    def _telling_what_there_is(self, model: ModelRef) -> Iterator[None]:
        """A refusal of what is not there also says, from memory, what is."""
        try:
            yield
        except (NotFound, InvalidArgument) as error:
            labels = () if self._config_file is None else self._config_file.labels.get(model.name, ())
            raise hints.not_found(error, model, hints.Known(self.models(), labels)) from None

    def _remembered(self, model: ModelRef) -> ServedModel | None:
        with self._lock:
            if model.label is not None:
                expires_s, served = self._labels.get((model.name, model.label), (0.0, None))
                return served if time.monotonic() < expires_s else None
            if model.version is not None and time.monotonic() < self._seen.get((model.name, model.version), 0.0):
                return self._served.get((model.name, model.version))
            status = self._statuses.get(model.name)
            if status is None or not status.is_ready:
                return None
            version = status.available[0] if model.version is None else model.version
            return self._served.get((model.name, version)) if version in status.available else None

    def _note_seen(self, served: ServedModel) -> None:
        """A version that the last poll did not find is there: look at all models again, soon."""
        self._seen[served.name, served.version] = time.monotonic() + self._poll_s
        status = self._statuses.get(served.name)
        if status is not None and served.version not in status.available:
            self._must_poll.set()

    def _kept(self, served: ServedModel) -> ServedModel:
        """The one value of a version for as long as it is served: another value is another model under the same number."""
        known = self._served.get((served.name, served.version))
        if known != served:
            self._served[served.name, served.version] = known = served
        return known

    def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                self._poll()
            except Exception:  # the catalog must go on following, whatever one look brought
                log.exception("catalog.poll_failed")
            self._stop.wait(_LEAST_S)
            self._must_poll.wait(self._poll_s if self._client.is_connected else min(_AWAY_POLL_S, self._poll_s))
            self._must_poll.clear()

    def _poll(self) -> None:
        """Look at every model once. When the server is away, one look says so for all of them."""
        if self._config_file is not None:
            self._config_file.refresh()
        names = self._take_up_names()
        for position, name in enumerate(names):
            try:
                self._note(self._look_at(name))
            except (Unavailable, DeadlineExceeded):
                for rest in names[position:]:
                    self._note(ModelStatus(rest, problem=AWAY))
                return

    def _take_up_names(self) -> tuple[str, ...]:
        """The names to look at: what the config file holds by now, and what is followed because a request brought it."""
        configured = () if self._config_file is None else self._config_file.names
        with self._lock:
            for name in configured:
                if name not in self._statuses:
                    self._statuses[name] = ModelStatus(name, problem=_NOT_ASKED_YET)
                    MODEL_READY.labels(name).set(False)
            return tuple(self._statuses)

    def _look_at(self, name: str) -> ModelStatus:
        model, deadline = ModelRef(name), Deadline.after(_POLL_DEADLINE_S)
        try:
            status = ModelStatus(name, replies.versions(self._client.status(model, deadline).model_version_status))
            if status.available:
                self._prefetch(ModelRef(name, status.available[0]), deadline)
        except (Unavailable, DeadlineExceeded):
            raise
        except GatewayError as error:
            return ModelStatus(name, problem=error.message)
        return status

    def _prefetch(self, model: ModelRef, deadline: Deadline) -> None:
        """So that the first request for a new version does not wait for its signatures."""
        try:
            if (model.name, model.version) not in self._served:
                self.refreshed(model, deadline)
        except NotFound:
            log.info("version.gone", model=model.name, version=model.version)

    def _note(self, status: ModelStatus) -> None:
        with self._lock:
            before = self._statuses.get(status.name)
            if before is None or (before.available, before.problems) != (status.available, status.problems):
                log.info("model.changed", model=status.name, available=status.available, problems=status.problems)
            self._statuses[status.name] = status
            MODEL_READY.labels(status.name).set(status.is_ready)
            if status.problem in (None, AWAY):
                self._forget(status)
            if not status.is_ready and not self._is_configured(status.name) and self._client.is_connected:
                del self._statuses[status.name]

    def _forget(self, status: ModelStatus) -> None:
        """A version that left may come back as another model under the same number."""
        self._drop({key for key in self._served if key[0] == status.name and key[1] not in status.available})

    def _drop(self, gone: set[tuple[str, int]]) -> None:
        """Forget versions."""
        for name, version in gone:
            for forget in self._on_gone:
                forget(name, version)
        self._served = {key: served for key, served in self._served.items() if key not in gone}
        self._seen = {key: until_s for key, until_s in self._seen.items() if key not in gone}
        self._labels = {key: known for key, known in self._labels.items() if (key[0], known[1].version) not in gone}

    def _is_configured(self, name: str) -> bool:
        return self._config_file is not None and name in self._config_file.names

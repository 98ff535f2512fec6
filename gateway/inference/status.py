"""The state of a model's versions on the server, as the layers above see it."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """One version's entry of GetModelStatus.

    ``state`` is START, LOADING, AVAILABLE, UNLOADING or END; ``error_code`` is a canonical code name (``OK``:
    nothing is wrong).
    """

    version: int
    state: str
    error_code: str = "OK"
    error_message: str = ""

    @property
    def is_available(self) -> bool:
        """Whether the version answers requests."""
        return self.state == "AVAILABLE"

    @property
    def has_failed(self) -> bool:
        """Whether the version ended with an error, rather than by being unloaded."""
        return self.error_code != "OK"


@dataclass(frozen=True, slots=True)
class Lag:
    """A model server that lacks what others have of a model: ``lacks`` says what, or why it gets no calls."""

    server: str
    lacks: str


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """What is known of one model: its versions, newest first; ``problem`` says why they are not known (None: they are).

    ``lagging``: where several model servers answer, those that lack something. ``available``: the numbers of the versions that
    answer requests, highest first. ``is_ready``: whether a request for the latest version would be answered.
    """

    name: str
    versions: tuple[VersionStatus, ...] = ()
    problem: str | None = None
    lagging: tuple[Lag, ...] = ()
    available: tuple[int, ...] = field(init=False, compare=False)
    is_ready: bool = field(init=False, compare=False)

    def __post_init__(self) -> None:
        # Each request looks at them.
        object.__setattr__(self, "available", tuple(status.version for status in self.versions if status.is_available))
        object.__setattr__(self, "is_ready", self.problem is None and bool(self.available))

    @property
    def has_failed(self) -> bool:
        """Whether a version has failed, and none can be expected to become ready."""
        is_pending = any(status.state in ("START", "LOADING") and not status.has_failed for status in self.versions)
        return any(status.has_failed for status in self.versions) and not is_pending

    @property
    def problems(self) -> tuple[str, ...]:
        """What an operator should know: why the model is not ready, which newer versions failed, which servers lag."""
        return (*self._of_the_model(), *(f"{lag.server} lags: {lag.lacks}" for lag in self.lagging))

    def _of_the_model(self) -> tuple[str, ...]:
        """Why it is not ready, and which versions newer than those served failed."""
        if self.problem is not None:
            return (self.problem,)
        failed = tuple(
            f"version {status.version} failed: {status.error_code}: {status.error_message}"
            for status in self.versions
            if status.has_failed and status.version > max(self.available, default=-1)
        )
        if self.available:
            return failed
        loading = tuple(f"version {status.version} is {status.state}" for status in self.versions if not status.has_failed)
        return ("no version is AVAILABLE", *failed, *loading)

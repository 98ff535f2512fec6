"""Turns a SavedModel directory into a servable, with TensorFlow 1's loader in a session of its own.

``tf.saved_model.load`` cannot read some models that tensorflow_model_server serves, such as those with reference
variables or with a ParseExample of unknown shape.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
import tensorflow as tf
from grpc import StatusCode
from tensorflow.core.protobuf import config_pb2

from model_server.requests.predict import PredictSettings
from model_server.session.graph_session import GraphSession, Runner
from model_server.session.servable import Servable, Signature
from model_server.status import ServingError, from_number, invalid_argument, not_found
from model_server.warmup import warm_up

log = structlog.get_logger()
tf.get_logger().setLevel("ERROR")

Wrap = Callable[[GraphSession, str], tuple[Runner, Callable[[], None]]]


def _unwrapped(session: GraphSession, directory: str) -> tuple[Runner, Callable[[], None]]:
    del directory
    return session, session.close


@dataclass(frozen=True)
class Loader:
    """Loads versions. ``session_config`` is a ConfigProto; ``wrap`` may put a batching runner around the session."""

    tags: frozenset[str] = frozenset({"serve"})
    session_config: Any = None
    warm_up: bool = True
    warm_up_iterations: int = 0
    predict_settings: PredictSettings = field(default_factory=PredictSettings)
    wrap: Wrap = _unwrapped

    def load(self, model: str, version: int, directory: str) -> Servable:
        """Load and warm up one version; whatever goes wrong is raised as ServingError, and nothing is left behind."""
        try:
            _check_directory(Path(directory))
            servable = self._open(model, version, directory)
            try:
                self._warm_up(servable, directory)
            except BaseException:
                servable.close()
                raise
        except ServingError:
            raise
        except tf.errors.OpError as error:
            raise from_number(error.error_code, error.message) from error
        except Exception as error:  # whatever a damaged graph makes TensorFlow's Python code raise
            raise ServingError(_code_of(error), _first_line(error)) from error
        return servable

    def _open(self, model: str, version: int, directory: str) -> Servable:
        raw = tf.compat.v1.Session(graph=tf.Graph(), config=self.session_config or config_pb2.ConfigProto())
        try:
            definitions = dict(self._restore(raw, directory).signature_def)
            session = GraphSession(raw)
            signatures = _compiled(definitions, session)
            runner, free = self.wrap(session, directory)
        except BaseException:
            raw.close()
            raise
        return Servable(model, version, runner, definitions, signatures, free)

    def _restore(self, session: Any, directory: str) -> Any:
        try:
            with session.graph.as_default():
                return tf.compat.v1.saved_model.load(session, list(self.tags), directory)
        except OSError as error:
            if "Cannot parse file" not in str(error):
                raise
            # TensorFlow's text goes on in terms of Python and protobuf, which no client speaks.
            raise invalid_argument(
                f"{_model_file(Path(directory))} is no SavedModel, or is damaged: it cannot be parsed"
            ) from error
        except RuntimeError as error:
            if "MetaGraphDef associated with tags" not in str(error):
                raise
            raise not_found(
                f"Could not find meta graph def matching supplied tags: {{ {' '.join(sorted(self.tags))} }}."
                " To inspect available tag-sets in the SavedModel, please use the SavedModel CLI: `saved_model_cli`"
            ) from error

    def _warm_up(self, servable: Servable, directory: str) -> None:
        if not self.warm_up:
            return
        count = warm_up(servable, directory, self.warm_up_iterations, self.predict_settings)
        if count:
            log.info("version.warmed_up", model=servable.name, version=servable.version, records=count)


def _check_directory(directory: Path) -> None:
    if (directory / "export.meta").exists():
        raise ServingError(StatusCode.UNIMPLEMENTED, "Session Bundle is deprecated and removed.")
    if not _model_file(directory).exists():
        raise not_found(
            "Specified file path does not appear to contain a SavedModel bundle"
            f" (should have a file called `saved_model.pb`)\nSpecified file path: {directory}"
        )


def _model_file(directory: Path) -> Path:
    """The file that TensorFlow reads: the text form only where there is no binary one."""
    binary, text = directory / "saved_model.pb", directory / "saved_model.pbtxt"
    return binary if binary.exists() or not text.exists() else text


def _compiled(definitions: dict[str, Any], session: GraphSession) -> dict[str, Signature]:
    return {name: Signature.compiled(name, definition, session.dtype_of) for name, definition in definitions.items()}


def _code_of(error: Exception) -> StatusCode:
    return StatusCode.INVALID_ARGUMENT if isinstance(error, ValueError | TypeError | OSError) else StatusCode.UNKNOWN


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0]

"""What is measured: programs that serve one SavedModel over HTTP, and how each of them is asked and read.

A module that offers a contender has two names:

- ``REQUIREMENTS: tuple[str, ...]``: what pip installs into the contender's own environment, each pinned (``"mosec==0.9.5"``).
  Empty where the project's environment is enough.
- ``contender(port: int, saved_model: Path, env_dir: Path) -> Contender``: serves ``saved_model`` at ``127.0.0.1:port``.
  ``saved_model`` is one version's folder (``.../dense/1``). Its ``serving_default`` has one float32 input ``[-1, ...]`` and one
  float32 output ``[-1, ...]``, of any names: both are read from the SavedModel, and nothing else about the model is known.
  ``env_dir`` is the environment made from ``REQUIREMENTS``: its interpreter is ``env_dir/bin/python``.

Rules, the same for everybody: the SavedModel is loaded once and its ``serving_default`` called as
``tf.saved_model.load(folder).signatures["serving_default"]`` gives it, warmed up before the program says that it is ready;
the framework's own batching is on, with the settings that its documentation recommends for throughput or better ones found by
trying; as many worker processes as serve it best on two cores; no access log. Every answer holds the predictions of exactly the
rows that were sent. Every call may send any number of rows from 1 to 1024.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

ROOT: Final = Path(__file__).resolve().parent.parent

# The ways to send an array. Every contender that predicts has JSON; the others where it offers them.
JSON: Final = "json"
B64: Final = "b64"
NPY: Final = "npy"
BINARY: Final = "binary"


@dataclass(frozen=True)
class Call:
    """One HTTP request. ``Host``, ``Content-Length`` and the headers of `load.request_headers` are added when it is sent."""

    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"


@dataclass(frozen=True)
class Encoding:
    """One way to ask for predictions.

    ``ask`` makes the call for a float32 array whose first dimension counts rows. ``read`` takes the body of an answer with
    status 200 and gives its predictions, first dimension rows too; what it raises for a body that is something else
    (ValueError, KeyError, TypeError) counts as a wrong answer. ``read`` is None for a program that predicts nothing, a floor to
    measure against: of its answers only the status is checked.
    """

    ask: Callable[[Floats], Call]
    read: Callable[[bytes], Floats] | None


@dataclass(frozen=True)
class Program:
    """One process to start, with all that it starts itself.

    ``ready_url`` is ``http://...`` (ready when GET answers 200) or ``tcp://host:port`` (ready when it accepts a connection).
    ``environment`` is added to the harness's own, from which the settings of a gateway are taken away.
    """

    name: str
    argv: tuple[str, ...]
    ready_url: str
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path = ROOT
    start_timeout_s: float = 120.0


@dataclass(frozen=True)
class Contender:
    """A program that answers at ``127.0.0.1:port``, and the ``backends`` that it needs, which are started first.

    A contender without backends does everything in ``front``. Processor time is told for front and backends apart.
    ``keys``: the API keys that the requests carry, one after another, each as its bearer token. Without any, each request has
    a token of its own.
    """

    name: str
    port: int
    front: Program
    encodings: Mapping[str, Encoding]
    backends: tuple[Program, ...] = ()
    keys: Sequence[str] = ()

    @property
    def programs(self) -> tuple[Program, ...]:
        """Every program, in the order in which they are started."""
        return (*self.backends, self.front)

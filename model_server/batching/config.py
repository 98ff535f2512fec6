"""Batching parameters as frozen, validated values (upstream's session_bundle_config.proto and batching docs)."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_server.flags import Flags
from model_server.messages import BatchingParameters, read_text_proto
from model_server.status import invalid_argument

_PER_MODEL_FILE = "batching_params.pbtxt"


@dataclass(frozen=True)
class BatchLimits:
    """How the requests of one queue are joined. Sizes count rows, which is dimension 0 of every input."""

    max_batch_size: int = 1000
    batch_timeout_s: float = 0.0
    max_enqueued_batches: int = 10
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False
    max_execution_batch_size: int = 1000

    def rounded_up(self, rows: int) -> int:
        """The size that a batch of ``rows`` is run with."""
        return next((size for size in self.allowed_batch_sizes if size >= rows), rows)


@dataclass(frozen=True)
class BatchingPlan:
    """What the flags ask for: the threads of all queues, and limits that are the same for all models or their own."""

    num_batch_threads: int
    limits: BatchLimits
    per_model: bool = False

    def limits_for(self, directory: str) -> BatchLimits | None:
        """The limits of the version in ``directory``; None if it is not batched. Raises ServingError."""
        if not self.per_model:
            return self.limits
        path = Path(directory) / _PER_MODEL_FILE
        return _limits(_read(str(path), _PER_MODEL_FILE)) if path.is_file() else None


def batching_plan(flags: Flags) -> BatchingPlan | None:
    """Read the batching flags and their file; None if batching is off. Raises ServingError."""
    if not flags.enable_batching:
        if flags.batching_parameters_file:
            raise invalid_argument(
                "server_options.batching_parameters_file is set without setting server_options.enable_batching to true."
            )
        return None
    message = BatchingParameters()
    if flags.batching_parameters_file:
        message = _read(flags.batching_parameters_file, "batching_parameters_file")
    threads = message.num_batch_threads.value if message.HasField("num_batch_threads") else os.cpu_count() or 1
    if threads < 1:
        raise invalid_argument(f"num_batch_threads must be positive; was {threads}")
    return BatchingPlan(threads, _limits(message), flags.enable_per_model_batching_parameters)


def _read(path: str, flag: str) -> Any:
    return read_text_proto(path, BatchingParameters(), flag)


def _limits(message: Any) -> BatchLimits:
    limit = _number(message, "max_batch_size", 1000, at_least=1)
    timeout = _number(message, "batch_timeout_micros", 0, at_least=0)
    enqueued = _number(message, "max_enqueued_batches", 10, at_least=0)
    splitting = message.enable_large_batch_splitting.value
    execution = _number(message, "max_execution_batch_size", limit, at_least=1) if splitting else limit
    allowed = tuple(message.allowed_batch_sizes)
    _check_allowed(allowed, execution)
    if execution > limit:
        raise invalid_argument(f"max_execution_batch_size must be at most max_batch_size {limit}; was {execution}")
    return BatchLimits(limit, timeout / 1e6, max(1, enqueued), allowed, message.pad_variable_length_inputs, execution)


def _number(message: Any, name: str, default: int, at_least: int) -> int:
    number = int(getattr(message, name).value) if message.HasField(name) else default
    if number < at_least:
        wanted = "positive" if at_least else "non-negative"
        raise invalid_argument(f"{name} must be {wanted}; was {number}")
    return number


def _check_allowed(allowed: tuple[int, ...], execution_size: int) -> None:
    if not allowed:
        return
    if list(allowed) != sorted(set(allowed)):
        raise invalid_argument(f"allowed_batch_sizes entries must be monotonically increasing; were {list(allowed)}")
    if allowed[0] < 1:
        raise invalid_argument(f"allowed_batch_sizes entries must be positive; were {list(allowed)}")
    if allowed[-1] != execution_size:
        raise invalid_argument(
            "Last entry in allowed_batch_sizes must match max_batch_size;"
            f" last entry was {allowed[-1]}; expected {execution_size}"
        )

"""Server-side batching: joining, limits, padding, errors, and the validation of its parameters."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from model_server.batching.config import BatchLimits, batching_plan
from model_server.batching.runner import BatchingRunner
from model_server.batching.scheduler import Scheduler
from model_server.flags import Flags
from model_server.status import ServingError
from tests.model_server import savedmodels
from tests.model_server.serving import AVAILABLE, END, refused, serving
from tests.waiting import wait_for

LONG_S = 60.0


class Graph:
    """A runner of the tests' own that doubles x, remembers its batches, and can be held up."""

    def __init__(self) -> None:
        self.batches: list[np.ndarray] = []
        self.timeouts: list[int | None] = []
        self.open = threading.Event()
        self.open.set()
        self.answer: Callable[[np.ndarray], Any] = lambda x: x * 2

    def run(self, feeds: Mapping[str, Any], fetches: Sequence[str], timeout_ms: int | None) -> list[Any]:
        self.batches.append(feeds["x:0"])
        self.timeouts.append(timeout_ms)
        assert self.open.wait(30)
        return [self.answer(feeds["x:0"]) for _ in fetches]


class Setup:
    """A batching runner around a Graph, and callers that run at the same time."""

    def __init__(self, limits: BatchLimits, threads: int = 1) -> None:
        self.graph = Graph()
        self.scheduler = Scheduler(threads)
        self.runner = BatchingRunner(self.graph, limits, self.scheduler)
        self.pool = ThreadPoolExecutor(16)

    def ask(self, x: Any, dtype: Any = np.float32, timeout_ms: int | None = None, fetch: str = "y:0") -> Any:
        return self.runner.run({"x:0": np.array(x, dtype)}, [fetch], timeout_ms)[0]

    def start(self, *args: Any, **kwargs: Any) -> Any:
        return self.pool.submit(self.ask, *args, **kwargs)

    def occupy(self) -> Any:
        """Hold the only thread up with a batch, so that what follows has to wait."""
        self.graph.open.clear()
        first = self.start([[0.0]], fetch="other:0")
        wait_for(lambda: len(self.graph.batches) == 1)
        return first

    def waiting(self, count: int) -> None:
        wait_for(lambda: self.scheduler.waiting() == count)

    def close(self) -> None:
        self.graph.open.set()
        self.pool.shutdown()
        self.runner.close()
        self.scheduler.stop()


@pytest.fixture
def setup() -> Iterator[Callable[..., Setup]]:
    made: list[Setup] = []

    def make(threads: int = 1, **limits: Any) -> Setup:
        limits.setdefault("max_execution_batch_size", limits.get("max_batch_size", 1000))
        made.append(Setup(BatchLimits(**limits), threads))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_lone_request_runs_at_once_without_a_window(setup: Callable[..., Setup]):
    assert setup().ask([[1.0], [2.0]]).tolist() == [[2.0], [4.0]]


def test_what_arrives_while_a_batch_runs_is_joined_and_each_gets_its_own_rows(setup: Callable[..., Setup]):
    s = setup()
    first = s.occupy()
    rows = {n: np.random.default_rng(n).random((n, 2), np.float32) for n in (1, 2, 3)}
    asked = {n: s.start(x) for n, x in rows.items()}
    s.waiting(3)
    s.graph.open.set()
    for n, future in asked.items():
        np.testing.assert_array_equal(future.result(), rows[n] * 2)
    first.result()
    assert [len(batch) for batch in s.graph.batches] == [1, 6]


def test_a_batch_waits_for_its_window_but_not_when_it_is_full(setup: Callable[..., Setup]):
    s = setup(max_batch_size=3, batch_timeout_s=LONG_S)
    futures = [s.start([[float(n)]]) for n in range(3)]
    assert sorted(future.result(timeout=20).item() for future in futures) == [0.0, 2.0, 4.0]
    assert [len(batch) for batch in s.graph.batches] == [3]


def test_the_window_ends(setup: Callable[..., Setup]):
    s = setup(batch_timeout_s=0.05)
    assert s.ask([[1.0]]).tolist() == [[2.0]]


def test_windows_that_end_together_run_on_different_threads(setup: Callable[..., Setup]):
    s = setup(threads=2, batch_timeout_s=0.05)
    s.graph.open.clear()
    futures = [s.start([[1.0]], fetch=f"{name}:0") for name in "abc"]
    wait_for(lambda: len(s.graph.batches) == 2)
    s.graph.open.set()
    assert [future.result(timeout=20).item() for future in futures] == [2.0, 2.0, 2.0]


def test_different_outputs_and_dtypes_never_mix(setup: Callable[..., Setup]):
    s = setup()
    s.occupy()
    futures = [s.start([[1.0]]), s.start([[1]], dtype=np.int32), s.start([[1.0]], fetch="z:0")]
    s.waiting(3)
    s.graph.open.set()
    for future in futures:
        assert future.result().tolist() == [[2.0]]
    assert [len(batch) for batch in s.graph.batches] == [1, 1, 1, 1]


def test_batches_are_rounded_up_by_repeating_the_first_row_of_the_last_request(setup: Callable[..., Setup]):
    s = setup(max_batch_size=8, allowed_batch_sizes=(4, 8))
    assert s.ask([[1.0], [2.0], [3.0]]).tolist() == [[2.0], [4.0], [6.0]]
    assert s.graph.batches[0].ravel().tolist() == [1.0, 2.0, 3.0, 1.0]


def test_variable_length_is_padded_with_the_first_element_where_asked_for(setup: Callable[..., Setup]):
    s = setup(pad_variable_length_inputs=True)
    s.occupy()
    short, long = s.start([[7.0, 8.0]]), s.start([[1.0, 2.0, 3.0]])
    s.waiting(2)
    s.graph.open.set()
    assert short.result().tolist() == [[14.0, 16.0, 14.0]]
    assert long.result().tolist() == [[2.0, 4.0, 6.0]]


def test_variable_length_without_padding_fails_all_requests_of_the_batch(setup: Callable[..., Setup]):
    s = setup()
    s.occupy()
    futures = [s.start([[7.0, 8.0]]), s.start([[1.0, 2.0, 3.0]])]
    s.waiting(2)
    s.graph.open.set()
    for future in futures:
        assert str(future.exception()) == (
            "FAILED_PRECONDITION: Tensors with name 'x:0' from different tasks have different shapes and padding is"
            " turned off. Set pad_variable_length_inputs to true, or ensure that all tensors with the same name have"
            " equal dimensions starting with the first dim."
        )


def test_an_error_of_the_run_is_given_to_every_member(setup: Callable[..., Setup]):
    s = setup()
    s.occupy()
    futures = [s.start([[1.0]]), s.start([[2.0]])]
    s.waiting(2)

    def fail(x: np.ndarray) -> Any:
        raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, "no")

    s.graph.answer = fail
    s.graph.open.set()
    assert [str(future.exception()) for future in futures] == ["INVALID_ARGUMENT: no"] * 2


def test_a_crash_of_the_run_leaves_nobody_waiting(setup: Callable[..., Setup]):
    s = setup()
    s.graph.answer = lambda x: 1 / 0
    with pytest.raises(ServingError, match="ZeroDivisionError"):
        s.ask([[1.0]])
    s.graph.answer = lambda x: x
    assert s.ask([[1.0]]).tolist() == [[1.0]]


REFUSED_OUTPUTS = {
    "scalar": (lambda x: np.float32(1).reshape(()), "Batched output tensor has 0 dimensions"),
    "other rows": (
        lambda x: x[:0],
        "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input tensors",
    ),
}


@pytest.mark.parametrize(("answer", "text"), REFUSED_OUTPUTS.values(), ids=REFUSED_OUTPUTS.keys())
def test_outputs_that_cannot_be_handed_out(setup: Callable[..., Setup], answer: Any, text: str):
    s = setup()
    s.graph.answer = answer
    with pytest.raises(ServingError) as caught:
        s.ask([[1.0]])
    assert str(caught.value) == f"FAILED_PRECONDITION: {text}"


def test_a_full_queue_refuses_at_once(setup: Callable[..., Setup]):
    s = setup(max_batch_size=1, max_enqueued_batches=2)
    s.occupy()
    futures = [s.start([[1.0]]), s.start([[2.0]])]
    s.waiting(2)
    with pytest.raises(ServingError) as caught:
        s.ask([[3.0]])
    assert str(caught.value) == (
        "UNAVAILABLE: The batch scheduling queue to which this task was submitted is full;"
        " currently 2 batches enqueued and max_enqueued_batches is 2"
    )
    s.graph.open.set()
    assert sorted(future.result().item() for future in futures) == [2.0, 4.0]


def test_a_request_larger_than_a_batch_is_refused(setup: Callable[..., Setup]):
    with pytest.raises(ServingError) as caught:
        setup(max_batch_size=2).ask([[1.0]] * 3)
    assert str(caught.value) == "INVALID_ARGUMENT: Task size 3 is larger than maximum input batch size 2"


def test_a_large_request_is_split_where_asked_for(setup: Callable[..., Setup]):
    s = setup(max_batch_size=10, max_execution_batch_size=2)
    assert s.ask([[float(n)] for n in range(5)]).ravel().tolist() == [0.0, 2.0, 4.0, 6.0, 8.0]
    assert [len(batch) for batch in s.graph.batches] == [2, 2, 1]
    with pytest.raises(ServingError, match="Task size 11 is larger than maximum input batch size 10"):
        s.ask([[1.0]] * 11)


@pytest.mark.parametrize(
    ("feeds", "text"),
    [
        ({"x:0": np.float32(1)}, "Batching Run() input tensors must have at least one dimension"),
        (
            {"x:0": np.ones((2, 1)), "z:0": np.ones((3, 1))},
            "Batching Run() input tensors must have equal 0th-dimension size",
        ),
    ],
)
def test_inputs_without_common_rows(setup: Callable[..., Setup], feeds: Any, text: str):
    with pytest.raises(ServingError) as caught:
        setup().runner.run(feeds, ["y:0"], None)
    assert str(caught.value) == f"INVALID_ARGUMENT: {text}"


def test_a_batch_whose_members_all_waited_too_long_is_not_run(setup: Callable[..., Setup]):
    s = setup()
    s.occupy()
    late = s.start([[1.0]], timeout_ms=1)
    s.waiting(1)
    threading.Event().wait(0.01)
    s.graph.open.set()
    assert str(late.exception()) == ("RESOURCE_EXHAUSTED: Run() timeout exceeded while waiting in batching queue")
    assert len(s.graph.batches) == 1


def test_a_batch_runs_under_the_latest_deadline_of_its_members(setup: Callable[..., Setup]):
    s = setup()
    s.occupy()
    futures = [s.start([[1.0]], timeout_ms=1), s.start([[2.0]], timeout_ms=60_000)]
    s.waiting(2)
    threading.Event().wait(0.01)
    s.graph.open.set()
    assert [future.result().item() for future in futures] == [2.0, 4.0]
    assert 1000 < s.graph.timeouts[1] <= 60_000


def plan(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "batching.config"
    path.write_text(text)
    return batching_plan(Flags(enable_batching=True, batching_parameters_file=str(path)))


def test_parameters_are_read_in_upstreams_syntax(tmp_path: Path):
    read = plan(
        tmp_path,
        "max_batch_size { value: 128 } batch_timeout_micros { value: 1500 } max_enqueued_batches { value: 0 }"
        " num_batch_threads { value: 3 } thread_pool_name { value: 'x' } allowed_batch_sizes: 32"
        " allowed_batch_sizes: 128 pad_variable_length_inputs: true",
    )
    assert read.num_batch_threads == 3
    assert read.limits == BatchLimits(128, 0.0015, 1, (32, 128), True, 128)


def test_defaults_are_upstreams(tmp_path: Path):
    assert batching_plan(Flags(enable_batching=True)).limits == BatchLimits(1000, 0.0, 10, (), False, 1000)
    assert batching_plan(Flags()) is None


BAD_PARAMETERS = {
    "num_batch_threads { value: 0 }": "num_batch_threads must be positive; was 0",
    "max_batch_size { value: 0 }": "max_batch_size must be positive; was 0",
    "batch_timeout_micros { value: -1 }": "batch_timeout_micros must be non-negative; was -1",
    "max_batch_size { value: 8 } allowed_batch_sizes: 4": (
        "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4; expected 8"
    ),
    "max_batch_size { value: 8 } allowed_batch_sizes: 9 allowed_batch_sizes: 8": "monotonically increasing",
    "max_batch_size { value: 8 } allowed_batch_sizes: -8 allowed_batch_sizes: 8": "must be positive",
    "max_batch_size: 8": "Error parsing text-format tensorflow.serving.BatchingParameters",
}


@pytest.mark.parametrize(("text", "expected"), BAD_PARAMETERS.items())
def test_bad_parameters(tmp_path: Path, text: str, expected: str):
    with pytest.raises(ServingError) as caught:
        plan(tmp_path, text)
    assert expected in str(caught.value)


def test_a_served_model_is_batched_and_still_answers_right(models: Path, tmp_path: Path):
    path = tmp_path / "batching.config"
    path.write_text("max_batch_size { value: 4 } batch_timeout_micros { value: 60000000 } num_batch_threads { value: 2 }")
    flags = {"enable_batching": True, "batching_parameters_file": str(path)}
    with (
        serving(model_name="m", model_base_path=str(models / "matrix"), **flags) as client,
        ThreadPoolExecutor(4) as pool,
    ):
        inputs = [np.float32([[n, n]]) for n in range(4)]
        replies = list(pool.map(lambda x: client.predict("m", {"x": x}), inputs))
        assert [list(reply.outputs["sum"].float_val) for reply in replies] == [[0.0], [2.0], [4.0], [6.0]]
        assert {reply.outputs["rows"].int_val[0] for reply in replies} == {4}
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "Batching Run() input tensors must have at least one dimension"):
            client.predict("m", {"x": np.float32(1)})


def test_parameters_of_a_models_own(tmp_path: Path):
    """A version without a file is not batched; one with a bad file fails to load and says why."""
    for name in ("batched", "plain", "bad"):
        savedmodels.matrix(tmp_path / name / "1")
    (tmp_path / "batched" / "1" / "batching_params.pbtxt").write_text("max_batch_size { value: 1 }")
    (tmp_path / "bad" / "1" / "batching_params.pbtxt").write_text("max_batch_size { value: 0 }")
    config = tmp_path / "models.config"
    config.write_text(
        "model_config_list {"
        + "".join(
            f'config {{ name: "{name}" base_path: "{tmp_path / name}" model_platform: "tensorflow" }}'
            for name in ("batched", "plain", "bad")
        )
        + "}"
    )
    flags = {"enable_batching": True, "enable_per_model_batching_parameters": True}
    with serving(model_config_file=str(config), **flags) as client:
        two_rows = {"x": np.float32([[1], [2]])}
        text = "Task size 2 is larger than maximum input batch size 1"
        with refused(grpc.StatusCode.INVALID_ARGUMENT, text):
            client.predict("batched", two_rows)
        assert list(client.predict("plain", two_rows).outputs["sum"].float_val) == [1.0, 2.0]
        assert client.states("batched") == client.states("plain") == {1: AVAILABLE}
        assert client.states("bad") == {1: END}
        assert client.status("bad").model_version_status[0].status.error_message == "max_batch_size must be positive; was 0"

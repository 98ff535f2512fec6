"""Versions come and go under load, and what is broken is told and hurts nobody."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.stack.conftest import export
from tests.waiting import wait_for

CLIENTS = 8
# What the issue of a rollout promises: a version that is dropped in, or taken away, is noticed within this time.
NOTICED_S = 5.0
# The first answer of version 1 and 2 to [1.0, 2.0, 5.0]; version 2 of the tests adds three.
ANSWERS = {"1": [2.5, 3.0, 4.5], "2": [3.5, 4.0, 5.5]}


@pytest.fixture(scope="module")
def half_plus_three(tmp_path_factory):
    """A SavedModel that differs from half_plus_two in its answer, under the number 2."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("half_plus_three") / "2"
    graph = tf.Graph()
    with graph.as_default(), tf.compat.v1.Session(graph=graph) as session:
        x = tf.compat.v1.placeholder(tf.float32, [None, 1], name="x")
        y = tf.add(0.5 * x, 3.0, name="y")
        builder = tf.compat.v1.saved_model.Builder(str(folder))
        signature = tf.compat.v1.saved_model.predict_signature_def({"x": x}, {"y": y})
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()
    return folder


class Load:
    """Clients that call without pause and keep every answer."""

    def __init__(self, stack) -> None:
        self.stack = stack
        self.stop = threading.Event()
        self.answers: list[tuple[int, str | None, object]] = []

    def __enter__(self):
        self._pool = ThreadPoolExecutor(CLIENTS)
        self._calls = [self._pool.submit(self._call) for _ in range(CLIENTS)]
        return self

    def __exit__(self, *exc_info):
        self.stop.set()
        for call in self._calls:
            call.result()
        self._pool.shutdown()

    def _call(self) -> None:
        while not self.stop.is_set():
            response = self.stack.post("/v1/models/half_plus_two:predict", {"instances": [1.0, 2.0, 5.0]})
            self.answers.append((response.status_code, response.headers.get("X-Model-Version"), response.json()))

    def latest_version(self) -> str | None:
        return self.answers[-1][1] if self.answers else None


def drop_in(version, base):
    """As people do it: copy under a name that is no number, then rename."""
    shutil.copytree(version, base / "incoming")
    (base / "incoming").rename(base / version.name)


def test_no_request_fails_while_a_version_is_dropped_in_and_taken_away(make_stack, models_dir, half_plus_three):
    stack = make_stack()
    with Load(stack) as load:
        wait_for(lambda: load.latest_version() == "1")
        drop_in(half_plus_three, models_dir / "half_plus_two")
        wait_for(lambda: load.latest_version() == "2", NOTICED_S)
        (models_dir / "half_plus_two" / "2").rename(models_dir / "half_plus_two" / "withdrawn")
        wait_for(lambda: load.latest_version() == "1", NOTICED_S)
    statuses = {status for status, _, _ in load.answers}
    wrong = [answer for answer in load.answers if answer[2] != {"predictions": ANSWERS[str(answer[1])]}]
    assert statuses == {200}
    assert wrong == []
    assert {version for _, version, _ in load.answers} == {"1", "2"}


def test_the_build_script_rolls_out_and_back(make_stack, models_dir):
    stack = make_stack()
    folder = ["--models-dir", str(models_dir)]

    def version() -> str:
        return stack.post("/v1/models/half_plus_two:predict", {"instances": [1.0]}).headers["X-Model-Version"]

    assert version() == "1"
    export("build", "half_plus_two", *folder)
    wait_for(lambda: version() == "2", NOTICED_S)
    export("rollback", "half_plus_two", *folder)
    wait_for(lambda: version() == "1", NOTICED_S)


def test_a_broken_version_leaves_the_old_one_serving_and_says_why(make_stack, models_dir):
    stack = make_stack()
    broken = models_dir / "half_plus_two" / "incoming"
    broken.mkdir()
    (broken / "saved_model.pb").write_bytes(b"this is no SavedModel")
    broken.rename(models_dir / "half_plus_two" / "2")

    def failed() -> bool:
        states = {entry["version"]: entry for entry in stack.get("/v1/models/half_plus_two").json()["model_version_status"]}
        return "2" in states and states["2"]["state"] == "END" and states["2"]["status"]["error_code"] != "OK"

    wait_for(failed, 30)
    response = stack.post("/v1/models/half_plus_two:predict", {"instances": [1.0]})
    assert (response.status_code, response.headers["X-Model-Version"]) == (200, "1")

    def readiness_tells() -> bool:
        return any("version 2 failed" in problem for problem in stack.get("/readyz").json()["models"][0]["problems"])

    wait_for(readiness_tells, NOTICED_S)
    assert stack.get("/readyz").status_code == 200


def test_a_model_that_is_added_to_the_config_file_is_served(make_stack):
    stack = make_stack()
    assert stack.post("/v1/models/basket:predict", {"instances": [{}]}).status_code == 404
    stack.write_config(("half_plus_two", "basket"))
    row = {"sku": "a", "quantity": 2, "unit_price": 1.5, "express": False}
    wait_for(lambda: stack.post("/v1/models/basket:predict", {"instances": [row]}).status_code == 200)

"""The catalog knows what is served: from the config file, by polling, and by asking when a request names something new."""

import asyncio
import math
import resource
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from gateway import errors
from gateway.backend import poll
from gateway.backend.catalog import Catalog
from gateway.backend.client import BackendClient
from gateway.backend.model_config import ModelConfigError, ModelConfigFile
from gateway.backend.stubs import DataType
from gateway.deadline import Deadline
from gateway.inference.signature import ModelRef
from tests.event_loop import on_loop, until
from tests.gateway.fake_serving import END, FakeServing, Version, serving, signature
from tests.waiting import free_port

POLL_S = 0.05
WIDER = signature({"x": (DataType.DT_FLOAT, [-1, 3])}, {"y": (DataType.DT_FLOAT, [-1, 3])})


@pytest.fixture
def fake():
    fake = FakeServing()
    with serving(fake) as fake.port:
        yield fake


@pytest.fixture
def config_file(tmp_path):
    return write_config(tmp_path / "models.config", "m")


def write_config(path: Path, *names: str) -> Path:
    entries = "".join(
        f'config {{ name: "{name}" base_path: "/models/{name}" model_platform: "tensorflow" }}\n' for name in names
    )
    path.write_text(f"model_config_list {{ {entries} }}\n")
    return path


@asynccontextmanager
async def following(port: int, config_file: Path | None, poll_s: float = POLL_S, on_gone=()) -> AsyncIterator[Catalog]:
    """A catalog that has begun to follow the server on ``port``."""
    file = None if config_file is None else ModelConfigFile(config_file)
    client = BackendClient(f"127.0.0.1:{port}")
    catalog = Catalog(client, file, poll_s, on_gone)
    client.start()
    catalog.start()
    try:
        yield catalog
    finally:
        await catalog.close()
        await client.close()


@asynccontextmanager
async def looking(fake: FakeServing, config_file: Path, poll_s: float = POLL_S, on_gone=()) -> AsyncIterator[Catalog]:
    """A catalog that has seen what ``fake`` serves."""
    async with following(fake.port, config_file, poll_s, on_gone) as catalog:
        await until(lambda: all(model.is_ready for model in catalog.required()))
        # It looks once before it is connected, and once because it is then.
        await until(lambda: catalog.is_reachable() and count(fake, "GetModelStatus") > 1)
        yield catalog


# It does not look again while a test lasts, unless something makes it.
SELDOM_S = 60.0


async def served(catalog: Catalog, model: ModelRef):
    return await catalog.served(model, Deadline.after(5))


async def is_served(catalog: Catalog, model: ModelRef, version: int) -> bool:
    return (await served(catalog, model)).version == version


def count(fake: FakeServing, call: str) -> int:
    return fake.calls.count(call)


@on_loop
async def test_the_latest_available_version_is_served(fake, config_file):
    async with looking(fake, config_file) as catalog:
        fake.models["m"][2] = Version()
        await until(lambda: catalog.models()[0].available == (2, 1))
        assert (await served(catalog, ModelRef("m"))).version == 2


@on_loop
async def test_a_known_version_is_answered_from_memory(fake, config_file):
    async with looking(fake, config_file) as catalog:
        await served(catalog, ModelRef("m"))
        before = fake.calls.count("GetModelMetadata")
        for _ in range(5):
            assert (await served(catalog, ModelRef("m"))).version == 1
        assert fake.calls.count("GetModelMetadata") == before


@on_loop
async def test_a_lane_is_no_other_version(fake, config_file):
    async with looking(fake, config_file) as catalog:
        known = await served(catalog, ModelRef("m", 1))
        before = fake.calls.count("GetModelMetadata")
        assert await served(catalog, ModelRef("m", 1, lane="baseline")) is known
        assert fake.calls.count("GetModelMetadata") == before
        assert await catalog.refreshed(ModelRef("m", 1, lane="baseline"), Deadline.after(5)) is known


@on_loop
async def test_a_version_that_leaves_is_forgotten_and_the_older_one_served(fake, config_file):
    async with looking(fake, config_file) as catalog:
        fake.models["m"][2] = Version()
        await until(lambda: is_served(catalog, ModelRef("m"), 2))
        fake.models["m"][2].state = END
        await until(lambda: is_served(catalog, ModelRef("m"), 1))
        with pytest.raises(errors.NotFound, match=r"Servable not found for request: Specific\(m, 2\)"):
            await served(catalog, ModelRef("m", version=2))


@on_loop
async def test_a_version_that_returns_as_another_model_is_read_anew(fake, config_file):
    async with looking(fake, config_file) as catalog:
        assert (await served(catalog, ModelRef("m", 1))).signatures["serving_default"].inputs[0].shape == (None, 2)
        fake.models["m"][1].state = END
        await until(lambda: not catalog.models()[0].is_ready)
        fake.models["m"][1] = Version(signatures={"serving_default": WIDER})
        await until(lambda: catalog.models()[0].is_ready)
        assert (await served(catalog, ModelRef("m", 1))).signatures["serving_default"].inputs[0].shape == (None, 3)


@on_loop
async def test_a_model_that_is_not_configured_is_asked_for_and_followed_while_it_is_served(fake, config_file):
    async with looking(fake, config_file) as catalog:
        fake.models["late"] = {7: Version()}
        assert (await served(catalog, ModelRef("late"))).version == 7
        await until(lambda: [model.name for model in catalog.models()] == ["late", "m"])
        assert [model.name for model in catalog.required()] == ["m"]
        fake.models["late"][7].state = END
        await until(lambda: [model.name for model in catalog.models()] == ["m"])


@on_loop
async def test_a_model_that_need_not_be_served_any_more_is_neither_ready_nor_missing(fake, tmp_path):
    """Otherwise an alert for models that are not ready would never end."""
    config_file = write_config(tmp_path / "models.config", "m", "unwanted")
    fake.models["unwanted"] = {1: Version()}
    async with following(fake.port, config_file):
        await until(lambda: is_ready("unwanted") == 1)
        write_config(config_file, "m")
        del fake.models["unwanted"]
        await until(lambda: math.isnan(is_ready("unwanted")))
        assert is_ready("m") == 1


def is_ready(model: str) -> float | None:
    return REGISTRY.get_sample_value("gateway_model_ready", {"model": model})


@on_loop
async def test_an_unknown_model_is_not_followed(fake, config_file):
    async with looking(fake, config_file) as catalog:
        with pytest.raises(errors.NotFound, match=r"Latest\(nope\)"):
            await served(catalog, ModelRef("nope"))
        assert [model.name for model in catalog.models()] == ["m"]


@on_loop
async def test_a_label_means_the_version_that_it_points_to(fake, config_file):
    async with looking(fake, config_file) as catalog:
        fake.models["m"][2] = Version()
        fake.labels["m", "stable"] = 1
        assert (await served(catalog, ModelRef("m", label="stable"))).version == 1
        fake.labels["m", "stable"] = 2
        await until(lambda: is_served(catalog, ModelRef("m", label="stable"), 2))


@on_loop
async def test_a_label_that_does_not_exist_is_the_callers_mistake(fake, config_file):
    async with looking(fake, config_file) as catalog:
        with pytest.raises(errors.InvalidArgument, match="Unrecognized servable version label: nope"):
            await served(catalog, ModelRef("m", label="nope"))


@on_loop
async def test_a_failed_version_is_reported_while_the_old_one_serves(fake, config_file):
    async with looking(fake, config_file) as catalog:
        fake.models["m"][2] = Version(state=END, error_code=3, error_message="no such file")
        await until(lambda: catalog.models()[0].problems)
        assert catalog.models()[0].is_ready
        assert catalog.models()[0].problems == ("version 2 failed: INVALID_ARGUMENT: no such file",)


@on_loop
async def test_status_is_asked_of_the_server_and_newest_first(fake, config_file):
    async with looking(fake, config_file) as catalog:
        fake.models["m"][12] = Version(state=END, error_code=5, error_message="gone")
        status = await catalog.status(ModelRef("m"), Deadline.after(5))
        assert [(entry.version, entry.state, entry.error_code) for entry in status.versions] == [
            (12, "END", "NOT_FOUND"),
            (1, "AVAILABLE", "OK"),
        ]


@on_loop
async def test_status_of_a_label_is_that_of_its_version(fake, config_file):
    async with looking(fake, config_file) as catalog:
        fake.models["m"][2] = Version()
        fake.labels["m", "stable"] = 1
        status = await catalog.status(ModelRef("m", label="stable"), Deadline.after(5))
        assert [entry.version for entry in status.versions] == [1]


@on_loop
async def test_metadata_lists_signatures_and_tensors_by_name(fake, config_file):
    names = [f"name {number}" for number in range(10, 30)]
    many = signature(*[dict.fromkeys(reversed(names), (DataType.DT_FLOAT, [-1]))] * 2)
    fake.models["m"][1].signatures = dict.fromkeys(reversed(names), many)
    async with following(fake.port, config_file) as catalog:
        document = await catalog.metadata(ModelRef("m"), Deadline.after(5))
        told = document["metadata"]["signature_def"]["signature_def"]
        assert [list(told), list(told["name 10"]["inputs"]), list(told["name 10"]["outputs"])] == [names] * 3


@on_loop
async def test_metadata_is_the_json_of_the_rest_port(fake, config_file):
    async with looking(fake, config_file) as catalog:
        document = await catalog.metadata(ModelRef("m"), Deadline.after(5))
        assert document["model_spec"] == {"name": "m", "signature_name": "", "version": "1"}
        signature_def = document["metadata"]["signature_def"]["signature_def"]["serving_default"]
        assert signature_def["method_name"] == "tensorflow/serving/predict"
        assert signature_def["inputs"]["x"]["dtype"] == "DT_FLOAT"
        assert signature_def["inputs"]["x"]["tensor_shape"]["dim"] == [{"size": "-1", "name": ""}, {"size": "2", "name": ""}]


@on_loop
async def test_while_the_server_is_away_every_model_says_so_and_its_return_is_noticed(tmp_path):
    port, fake = free_port(), FakeServing()
    fake.models["second"] = {1: Version()}
    async with following(port, write_config(tmp_path / "models.config", "m", "second"), poll_s=30) as catalog:
        await until(lambda: [model.problems for model in catalog.models()] == [("the model server cannot be reached",)] * 2)
        with pytest.raises(errors.Unavailable):
            await served(catalog, ModelRef("m"))
        with serving(fake, port):
            await until(lambda: all(model.is_ready for model in catalog.models()), timeout_s=10)


@on_loop
async def test_when_the_server_goes_away_all_its_versions_are_told_of_at_once(fake, tmp_path):
    """Who forgets them looks through all that it remembers: a thousand times would hold up the requests."""
    gone = []
    names = [f"m{number}" for number in range(40)]  # more than are asked about at a time
    fake.models = {name: {1: Version()} for name in names}
    async with looking(fake, write_config(tmp_path / "models.config", *names), on_gone=(gone.append,)) as catalog:
        assert all(catalog.known(name) for name in names)
        fake.stop()
        await until(lambda: not any(model.is_ready for model in catalog.models()))
        assert not any(catalog.known(name) for name in names)
    assert gone == [{(name, 1) for name in names}]


@on_loop
async def test_a_model_without_a_version_is_not_ready_and_says_why(fake, tmp_path):
    async with following(fake.port, write_config(tmp_path / "models.config", "m", "empty")) as catalog:
        await until(lambda: "Could not find any versions" in str(catalog.required()[0].problems))
        await until(lambda: [(model.name, model.is_ready) for model in catalog.required()] == [("empty", False), ("m", True)])


@on_loop
async def test_a_change_of_the_config_file_is_taken_up(fake, config_file):
    async with looking(fake, config_file) as catalog:
        fake.models["second"] = {1: Version()}
        write_config(config_file, "m", "second")
        await until(lambda: [model.name for model in catalog.required() if model.is_ready] == ["m", "second"])
        write_config(config_file, "m")
        await until(lambda: [model.name for model in catalog.required()] == ["m"])


@on_loop
async def test_a_config_file_that_breaks_leaves_the_last_good_names(config_file, fake):
    async with looking(fake, config_file) as catalog:
        config_file.write_text("model_config_list { config {")
        looks = len(fake.calls)
        await until(lambda: len(fake.calls) > looks + 3)
        with pytest.raises(ModelConfigError):
            ModelConfigFile(config_file)
        assert [model.name for model in catalog.required()] == ["m"]


def test_a_config_file_that_could_not_be_read_for_a_moment_is_read_at_the_next_look(config_file):
    """What its status is can be asked while the process has used up its descriptors."""
    file = ModelConfigFile(config_file)
    write_config(config_file, "m", "second")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with capture_logs() as events:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            for _ in range(3):
                file.refresh()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert file.names == ("m",)
        for _ in range(3):
            file.refresh()
    assert file.names == ("m", "second")
    assert [event["event"] for event in events] == ["model_config.unreadable", "model_config.read"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file"), ("model_config_list { x: 1 }", "text format"), (b"\xff\xfe", "UTF-8")],
    ids=["missing", "not the message", "not text"],
)
def test_a_config_file_that_cannot_be_read_is_named(tmp_path, content, reason):
    path = tmp_path / "models.config"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ModelConfigError, match=reason) as caught:
        ModelConfigFile(path)
    assert str(path) in str(caught.value)


@on_loop
async def test_a_version_that_has_answered_is_asked_for_once_and_makes_the_catalog_look_at_once(fake, config_file):
    async with looking(fake, config_file, SELDOM_S) as catalog:
        fake.models["m"][2] = Version()
        before = fake.calls.count("GetModelMetadata")
        for _ in range(20):
            assert (await served(catalog, ModelRef("m", 2))).version == 2
        await until(lambda: catalog.models()[0].available == (2, 1))
        assert (await served(catalog, ModelRef("m"))).version == 2
        assert fake.calls.count("GetModelMetadata") == before + 1


@on_loop
async def test_a_version_that_is_not_served_any_more_is_told_once(fake, config_file):
    fake.models["m"][2] = Version()
    gone = []
    async with looking(fake, config_file, on_gone=(gone.append,)) as catalog:
        assert [served.version for served in catalog.known("m")] == [2]
        await served(catalog, ModelRef("m", 1))
        assert [served.version for served in catalog.known("m")] == [2, 1]
        del fake.models["m"][2]
        await until(lambda: [served.version for served in catalog.known("m")] == [1])
        assert gone == [{("m", 2)}]
        assert catalog.known("other") == ()


@on_loop
async def test_a_version_that_a_call_did_not_find_is_forgotten_at_once(fake, config_file):
    """It may be back under its number, as another model, before the next poll."""
    gone = []
    async with looking(fake, config_file, SELDOM_S, (gone.append,)) as catalog:
        before = catalog.known("m")
        for missing in (ModelRef("m", 2), ModelRef("other"), ModelRef("m", label="stable")):
            catalog.note_missing(missing)
        assert (gone, catalog.known("m")) == ([], before)
        catalog.note_missing(ModelRef("m", 1))
        assert gone == [{("m", 1)}]
        assert await served(catalog, ModelRef("m", 1)) is not before[0]


@on_loop
async def test_a_model_that_left_with_all_its_versions_is_forgotten_and_read_anew_when_it_returns(fake, config_file):
    gone = []
    async with looking(fake, config_file, on_gone=(gone.append,)) as catalog:
        del fake.models["m"]
        await until(lambda: gone == [{("m", 1)}])
        assert catalog.known("m") == ()
        fake.models["m"] = {1: Version(signatures={"serving_default": WIDER})}
        await until(lambda: catalog.models()[0].is_ready)
        assert (await served(catalog, ModelRef("m"))).signatures["serving_default"].inputs[0].shape == (None, 3)


@on_loop
async def test_that_the_server_went_away_is_noticed_between_two_polls(fake, config_file):
    async with looking(fake, config_file, poll_s=600.0) as catalog:
        # The pause behind the last look, which began before this one, is over: the next look is 600 s away.
        await asyncio.sleep(2 * poll.LEAST_S)
        await asyncio.to_thread(fake.stop)
        await until(lambda: catalog.required()[0].problem == "the model server cannot be reached")


@pytest.mark.parametrize(
    "model", [ModelRef("late"), ModelRef("late", 1), ModelRef("late", label="stable")], ids=["name", "version", "label"]
)
@on_loop
async def test_many_first_requests_of_a_model_share_one_question_and_its_answer_is_remembered(fake, config_file, model):
    fake.models["late"] = {1: Version()}
    fake.labels["late", "stable"] = 1
    fake.status_failures["late"] = (grpc.StatusCode.DEADLINE_EXCEEDED, "busy")  # no poll tells of it
    async with looking(fake, config_file, SELDOM_S) as catalog:
        before = count(fake, "GetModelMetadata")
        answers = await asyncio.gather(*(served(catalog, model) for _ in range(64)))
        assert len({id(answer) for answer in answers}) == 1
        for _ in range(64):
            assert await served(catalog, model) is answers[0]
        assert count(fake, "GetModelMetadata") == before + 1


@on_loop
async def test_many_that_ask_for_what_is_not_there_get_one_refusal_each_with_its_own_instance(fake, config_file):
    async with looking(fake, config_file, SELDOM_S) as catalog:
        before = count(fake, "GetModelMetadata")
        refusals = await asyncio.gather(*(served(catalog, ModelRef("mm")) for _ in range(64)), return_exceptions=True)
        assert {(type(refusal), str(refusal)) for refusal in refusals} == {(errors.NotFound, str(refusals[0]))}
        assert {refusal.unknown_model for refusal in refusals} == {errors.UnknownModel("mm", ("m",))}
        assert len({id(refusal) for refusal in refusals}) == 64
        assert count(fake, "GetModelMetadata") == before + 1


@on_loop
async def test_many_that_want_to_know_the_version_of_this_moment_ask_it_at_most_twice(fake, config_file):
    """A question that is under way may have been answered already: it is not believed, but waited for."""
    async with looking(fake, config_file, SELDOM_S) as catalog:
        before = count(fake, "GetModelMetadata")
        fake.metadata_release.clear()
        first, *later = (asyncio.create_task(catalog.refreshed(ModelRef("m"), Deadline.after(5))) for _ in range(65))
        await until(lambda: count(fake, "GetModelMetadata") > before)
        fake.metadata_release.set()
        answers = await asyncio.gather(first, *later)
        assert {answer.version for answer in answers} == {1}
        assert count(fake, "GetModelMetadata") == before + 2


@pytest.fixture
def two_models(tmp_path, fake):
    fake.models["slow"] = {1: Version()}
    return write_config(tmp_path / "two.config", "m", "slow")


@on_loop
async def test_a_model_whose_status_is_slow_stays_ready_and_does_not_hold_up_the_others(fake, two_models):
    async with looking(fake, two_models) as catalog:
        fake.status_release["slow"] = threading.Event()
        fake.models["m"][2] = Version()
        await until(lambda: catalog.models()[0].available == (2, 1))
        fake.statuses.clear()
        # It is asked about again when the question before has timed out.
        await until(lambda: fake.statuses.count("slow") == 2)
        assert fake.statuses.count("m") > 8
        assert [(model.name, model.is_ready) for model in catalog.models()] == [("m", True), ("slow", True)]
        asked = count(fake, "GetModelMetadata")
        assert (await served(catalog, ModelRef("slow"))).version == 1
        assert count(fake, "GetModelMetadata") == asked


@pytest.mark.parametrize("status", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.INTERNAL])
@on_loop
async def test_a_status_that_fails_is_its_models_own(fake, two_models, status):
    async with looking(fake, two_models) as catalog:
        asked = count(fake, "GetModelMetadata")
        fake.status_failures["slow"] = (status, "why")
        fake.statuses.clear()
        await until(lambda: fake.statuses.count("slow") > 5)
        is_said_of_the_model = status is grpc.StatusCode.INTERNAL
        await until(lambda: catalog.models()[1].problem == ("why" if is_said_of_the_model else None))
        assert catalog.models()[0].is_ready
        assert (await served(catalog, ModelRef("slow"))).version == 1
        assert count(fake, "GetModelMetadata") == asked


@on_loop
async def test_a_model_of_which_nothing_is_known_says_why_its_status_does_not_come(fake, config_file):
    fake.status_failures["m"] = (grpc.StatusCode.DEADLINE_EXCEEDED, "busy")
    async with following(fake.port, config_file) as catalog:
        assert catalog.models()[0].problem == "the model server has not been asked yet"
        await until(lambda: catalog.is_reachable() and "no answer within 2000 ms" in catalog.models()[0].problem)


@on_loop
async def test_when_no_call_is_answered_for_long_a_model_is_not_ready_any_more_but_still_known(fake, config_file):
    async with following(fake.port, config_file) as catalog:
        await until(lambda: catalog.models()[0].is_ready)
        fake.status_failures["m"] = (grpc.StatusCode.DEADLINE_EXCEEDED, "busy")
        before = count(fake, "GetModelStatus")
        await until(lambda: count(fake, "GetModelStatus") > before + 3)
        assert catalog.models()[0].is_ready
        catalog._client.answered_s = time.monotonic() - 11
        await until(lambda: catalog.models()[0].problem == "the model server has answered no call for 10 s")
        assert (await served(catalog, ModelRef("m"))).version == 1
        del fake.status_failures["m"]
        await until(lambda: catalog.models()[0].is_ready)


@on_loop
async def test_a_question_that_its_asker_gave_up_is_asked_by_the_next(fake, config_file):
    fake.models["late"] = {1: Version()}
    fake.metadata_release.clear()
    async with following(fake.port, None, SELDOM_S) as catalog:
        first = asyncio.create_task(served(catalog, ModelRef("late")))
        await until(lambda: count(fake, "GetModelMetadata") == 1)
        hasty = asyncio.create_task(catalog.served(ModelRef("late"), Deadline.after(0.05)))
        others = [asyncio.create_task(served(catalog, ModelRef("late"))) for _ in range(5)]
        with pytest.raises(errors.DeadlineExceeded, match="50 ms"):
            await hasty
        first.cancel()
        await until(lambda: count(fake, "GetModelMetadata") == 2)
        fake.metadata_release.set()
        assert [answer.version for answer in await asyncio.gather(*others)] == [1] * 5
        assert count(fake, "GetModelMetadata") == 2


@on_loop
async def test_between_two_polls_is_some_time_for_each_model(fake, config_file, monkeypatch):
    monkeypatch.setattr("gateway.backend.poll._LOOK_S", 60.0)
    async with looking(fake, config_file):
        before = count(fake, "GetModelStatus")
        await asyncio.sleep(10 * POLL_S)
        assert count(fake, "GetModelStatus") == before


@on_loop
async def test_a_first_look_is_over_when_every_model_was_asked_about(fake, tmp_path):
    names = [f"m{number}" for number in range(20)]
    fake.models |= {name: {1: Version()} for name in names}
    async with following(fake.port, write_config(tmp_path / "models.config", *names), SELDOM_S) as catalog:
        await catalog.first_look()
        assert [model.is_ready for model in catalog.required()] == [True] * 20


@on_loop
async def test_a_first_look_does_not_wait_for_a_server_that_is_away(config_file):
    async with following(free_port(), config_file, SELDOM_S) as catalog:
        async with asyncio.timeout(0.9):  # sooner than it ends by itself
            await catalog.first_look()
        [model] = catalog.required()
        assert model.problems == ("the model server cannot be reached",)


@on_loop
async def test_a_first_look_is_over_at_once_without_models_and_in_time_without_answers(fake, config_file, monkeypatch):
    async with following(fake.port, None) as catalog:
        await catalog.first_look()
    monkeypatch.setattr("gateway.backend.poll._FIRST_S", 0.05)
    release = threading.Event()
    monkeypatch.setattr(fake, "_begin", lambda call, context: release.wait(10))
    try:
        async with following(fake.port, config_file) as catalog:
            await catalog.first_look()
            assert not catalog.required()[0].is_ready
    finally:
        release.set()

"""Versions that answer are kept before a new one comes."""

import pytest

from gateway.errors import FailedPrecondition, NotFound, Unavailable
from gateway.rollout.control.pinning import Pinning
from tests.event_loop import on_loop
from tests.gateway.rollout.control.worlds import PLAIN, Servers


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "models.config"
    path.write_text(PLAIN)
    return path


@on_loop
async def test_the_versions_that_answer_are_written_and_the_servers_confirm(file):
    servers = Servers(file, versions=(1, 2))
    pinned = await Pinning(servers, file).pin("digits")
    assert pinned == {
        "model": "digits",
        "versions": [2],
        "entry": "model_version_policy { specific { versions: 2 } }",
        "changed": True,
        "servers": {"one:8500": ""},
        "confirmed": True,
    }
    servers.versions = (1, 2, 3)
    servers.look()
    assert servers.loaded() == (2,)


@on_loop
async def test_what_names_versions_already_stays_and_is_confirmed(file):
    servers = Servers(file)
    await Pinning(servers, file).pin("digits")
    before = file.stat().st_mtime_ns
    pinned = await Pinning(servers, file).pin("digits")
    assert (pinned["changed"], pinned["confirmed"], pinned["versions"]) == (False, True, [3])
    assert file.stat().st_mtime_ns == before
    assert len(servers.reloads) == 2


@on_loop
async def test_a_server_that_cannot_be_told_does_not_confirm(file):
    pinned = await Pinning(Servers(file, is_told=False), file).pin("digits")
    assert (pinned["changed"], pinned["confirmed"]) == (True, False)
    assert pinned["servers"] == {"one:8500": "UNIMPLEMENTED: "}


@on_loop
async def test_what_any_server_has_is_kept(file):
    servers = Servers(file, "one:1", "two:2", versions=(2,))
    servers.broken["one:1"] = {2}
    assert (await Pinning(servers, file).pin("digits"))["versions"] == [2]


@on_loop
async def test_what_cannot_be_pinned_says_why(file, tmp_path):
    servers = Servers(file, versions=(2,))
    with pytest.raises(FailedPrecondition, match="GATEWAY_MODEL_CONFIG_FILE is not set"):
        await Pinning(servers, None).pin("digits")
    with pytest.raises(FailedPrecondition, match="No such file"):
        await Pinning(servers, tmp_path / "none").pin("digits")
    with pytest.raises(FailedPrecondition, match="model other is not in"):
        await Pinning(servers, file).pin("other")
    servers.broken["one:8500"] = {2}
    with pytest.raises(NotFound, match="no version of model digits is AVAILABLE"):
        await Pinning(servers, file).pin("digits")
    servers.away = {"one:8500"}
    with pytest.raises(Unavailable, match="no model server answers"):
        await Pinning(servers, file).pin("digits")

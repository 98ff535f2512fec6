"""The file is written and the servers are told, beside the follower."""

import pytest

from gateway.backend.version_policy import specific
from gateway.rollout.control.writing import Writing
from tests.event_loop import on_loop, until
from tests.gateway.rollout.control.worlds import PLAIN, Servers


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "models.config"
    path.write_text(PLAIN)
    return path


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@on_loop
async def test_a_policy_is_written_and_the_servers_read_it(file):
    servers = Servers(file)
    writing = Writing(servers, file)
    writing.put("p", "digits", specific((2, 3)))
    attempt = await until(lambda: writing.attempt("p"))
    assert (attempt.problem, attempt.refusals, attempt.is_told) == ("", {}, True)
    assert servers.loaded() == (3, 2)
    assert servers.reloads == [file.read_text()]
    await writing.close()


@on_loop
async def test_a_file_that_says_so_already_is_not_told_again(file):
    """Of all workers, the one that has changed it tells the servers."""
    servers = Servers(file)
    writings = [Writing(servers, file) for _ in range(4)]
    for writing in writings:
        writing.put("p", "digits", specific((2, 3)))
    attempts = [await until(lambda writing=writing: writing.attempt("p")) for writing in writings]
    assert [attempt.problem for attempt in attempts] == [""] * 4
    assert sum(attempt.is_told for attempt in attempts) == len(servers.reloads) == 1
    for writing in writings:
        await writing.close()


@on_loop
async def test_a_server_that_cannot_be_told_is_no_problem(file):
    writing = Writing(Servers(file, is_told=False), file)
    writing.put("p", "digits", specific((2, 3)))
    attempt = await until(lambda: writing.attempt("p"))
    assert (attempt.problem, attempt.refusals) == ("", {"one:8500": "UNIMPLEMENTED: "})
    await writing.close()


@on_loop
async def test_what_cannot_be_written_is_tried_again_after_a_while(file):
    clock = Clock()
    writing = Writing(Servers(file), file, clock)
    writing.put("p", "other", specific((2, 3)))
    first = await until(lambda: writing.attempt("p"))
    assert first.problem == "model other is not in the model config file"
    writing.put("p", "other", specific((2, 3)))
    clock.now_s += 5
    writing.put("p", "other", specific((2, 3)))
    await until(lambda: writing.attempt("p") is not first)
    writing.forget_all_but([])
    assert writing.attempt("p") is None
    await writing.close()


@on_loop
async def test_without_a_file_nothing_is_done(file):
    servers = Servers(file)
    writing = Writing(servers, None)
    writing.put("p", "digits", specific((2, 3)))
    writing.tell("p", specific((2, 3)))
    await writing.close()
    assert file.read_text() == PLAIN
    assert not servers.reloads

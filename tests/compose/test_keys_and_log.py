"""What an operator does with keys, limits and the prediction log, in the order of this file. Then the stack is as before."""

from collections.abc import Iterator

import pytest

from tests.compose.hardening import assert_no_privileges
from tests.compose.stack import POSTGRES_PASSWORD, CommandError, Stack
from tests.compose.traffic import HALF_PLUS_TWO
from tests.waiting import wait_for

pytestmark = [pytest.mark.compose, pytest.mark.timeout(600)]

PREDICT = "/v1/models/half_plus_two:predict"
BESIDE = ("redis", "postgres")
# An address would need these characters quoted.
PROFILES = "COMPOSE_PROFILES=redis,postgres\n"
SETTINGS = f"""{PROFILES}POSTGRES_PASSWORD={POSTGRES_PASSWORD}
GATEWAY_KEYS_FILE=/keys/keys.jsonl
GATEWAY_REDIS_URL=redis://redis:6379/0
GATEWAY_PREDICTION_LOG=postgresql://gateway@postgres/predictions
"""
# The second gateway has no port on this machine.
ASK_INSIDE = """
import sys, urllib.error, urllib.request
headers = {"Authorization": f"Bearer {sys.argv[1]}"}
body = b'{"instances": [1.0]}'
try:
    print(urllib.request.urlopen(urllib.request.Request("http://127.0.0.1:8080" + sys.argv[2], body, headers)).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


@pytest.fixture(scope="module")
def guarded(stack: Stack) -> Iterator[Stack]:
    """The stack with keys, Redis and PostgreSQL."""
    set_up(stack, SETTINGS)
    yield stack
    (stack.directory / ".env").unlink()
    stack.compose("--profile", "*", "rm", "--stop", "--force", *BESIDE)
    set_up(stack, "")


@pytest.fixture(scope="module")
def alice(guarded: Stack) -> str:
    """A key with a limit, as the command printed it."""
    key = guarded.run("keys", "new", "alice", "--limit", "5/min")
    wait_for(lambda: guarded.get("/v1/models", key).status_code == 200)
    return key


@pytest.fixture(scope="module")
def bob(guarded: Stack) -> str:
    """A key without a limit."""
    key = guarded.run("keys", "new", "bob")
    wait_for(lambda: guarded.get("/v1/models", key).status_code == 200)
    return key


def set_up(stack: Stack, settings: str) -> None:
    (stack.directory / ".env").write_text(settings)
    stack.up()
    wait_for(stack.is_ready, 60, 0.2)


def test_without_a_password_postgresql_says_what_to_set(stack):
    (stack.directory / ".env").write_text(PROFILES)
    with pytest.raises(CommandError, match=r"POSTGRES_PASSWORD: the profile postgres needs a password, set one in \.env"):
        stack.run("postgres")


@pytest.mark.parametrize("service", BESIDE)
def test_a_service_of_a_profile_becomes_healthy(guarded, service):
    wait_for(lambda: guarded.inspect(service)["State"]["Health"]["Status"] == "healthy", 60, 0.5)


@pytest.mark.parametrize("service", BESIDE)
def test_a_service_of_a_profile_has_no_privileges_and_no_port(guarded, service):
    container = guarded.inspect(service)
    assert_no_privileges(container)
    assert not container["HostConfig"]["PortBindings"]


def test_without_a_key_nobody_is_let_in(guarded):
    assert guarded.post(PREDICT, HALF_PLUS_TWO).status_code == 401


def test_a_key_works_up_to_its_limit(guarded, alice):
    answers = [guarded.post(PREDICT, HALF_PLUS_TWO, alice) for _ in range(7)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60


def test_the_log_has_a_row_of_each_request(guarded, alice):
    query = "select status, count(*) from predictions where key = 'alice' group by status order by status"
    psql = ("psql", "--username=gateway", "--tuples-only", "--no-align", f"--command={query}", "predictions")
    wait_for(lambda: guarded.run_in("postgres", *psql) == "200|5\n429|2", 10, 0.2)
    head, *rows = guarded.run("log", "tail").splitlines()
    assert head.split()[:3] == ["TIME", "STATUS", "MODEL"]
    assert sum("x=[1.0,2.0,5.0]" in row and "y=[2.5,3.0,4.5]" in row for row in rows) == 5


def test_another_gateway_knows_of_the_requests_that_the_first_let_in(guarded, alice, bob):
    other = guarded.compose("run", "--detach", "--no-deps", "gateway")
    try:
        wait_for(lambda: asked_inside(guarded, other, bob) == "200", 60, 0.5)
        answers = [asked_inside(guarded, other, alice) for _ in range(3)]
    finally:
        guarded.docker("rm", "--force", other)
    # It may let one in before it has asked Redis.
    assert answers in (["429"] * 3, ["200", "429", "429"])


def asked_inside(stack: Stack, container: str, key: str) -> str:
    """The status of a prediction that a gateway without a port is asked for, or nothing while it does not listen."""
    try:
        return stack.docker("exec", container, "python", "-c", ASK_INSIDE, key, PREDICT)
    except CommandError:
        return ""


def test_keys_are_listed_and_disabled(guarded, alice, bob):
    assert [line.split()[0] for line in guarded.run("keys", "list").splitlines()] == ["NAME", "alice", "bob"]
    guarded.run("keys", "disable", "alice")
    wait_for(lambda: guarded.post(PREDICT, HALF_PLUS_TWO, alice).status_code == 401)
    assert guarded.post(PREDICT, HALF_PLUS_TWO, bob).status_code == 200


def test_the_gateway_cannot_write_keys(guarded):
    with pytest.raises(CommandError, match="Read-only file system"):
        guarded.run_in("gateway", "touch", "/keys/written")


def test_without_redis_and_postgresql_predictions_go_on_and_their_rows_are_written_later(guarded, bob, say):
    say("stopping Redis and PostgreSQL")
    guarded.compose("stop", *BESIDE)
    reply = guarded.post(PREDICT, HALF_PLUS_TWO, bob)
    assert reply.status_code == 200, reply.text
    guarded.compose("start", *BESIDE)
    request = ("log", "tail", "--request", reply.headers["X-Request-Id"])
    wait_for(lambda: reply.headers["X-Request-Id"] in logged(guarded, *request), 60, 0.5)


def logged(stack: Stack, *command: str) -> str:
    """What the command prints, or nothing while the database does not answer."""
    try:
        return stack.run(*command)
    except CommandError:
        return ""


def test_no_container_writes_a_secret_into_its_log(guarded, alice, bob):
    written = guarded.logs()
    assert "prediction_log.back" in written
    assert "database system is ready" in written
    for secret in (POSTGRES_PASSWORD, alice, bob):
        assert secret not in written


def test_sqlite_needs_no_service(guarded, bob):
    set_up(guarded, SETTINGS.replace("postgresql://gateway@postgres/predictions", "sqlite:////log/predictions.db"))
    reply = guarded.post(PREDICT, HALF_PLUS_TWO, bob)
    assert reply.status_code == 200, reply.text
    wait_for(lambda: reply.headers["X-Request-Id"] in logged(guarded, "log", "tail"), 30, 0.2)

"""TLS to the model server: why there is no connection, in the words of the settings, and files that change."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import grpc
import pytest
from structlog.testing import capture_logs

from gateway.backend.client import BackendClient
from gateway.deadline import Deadline
from gateway.inference.signature import ModelRef
from gateway.serving_tls import ServingTls, serving_tls
from tests.authority import Authority, Pair, authority, put
from tests.event_loop import on_loop, until
from tests.gateway.backend.test_client import predict
from tests.gateway.fake_serving import FakeServing, serving
from tests.waiting import free_port

MODEL = ModelRef("m")


@pytest.fixture(scope="module")
def ours(tmp_path_factory) -> Authority:
    return authority(tmp_path_factory.mktemp("authority"), "ours")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory) -> Authority:
    return authority(tmp_path_factory.mktemp("authority"), "theirs")


@pytest.fixture(scope="module")
def server(ours) -> Pair:
    return ours.signed("serving")


@pytest.fixture(scope="module")
def client(ours) -> Pair:
    """What the gateway shows."""
    return ours.signed("gateway")


@pytest.fixture
def tls(ours, client, tmp_path) -> ServingTls:
    """The gateway's files for mutual TLS, which a test may replace."""
    tls = ServingTls(tmp_path / "ca.pem", tmp_path / "cert.pem", tmp_path / "key.pem", "serving")
    mend(tls, ours, client)
    return tls


def mend(tls: ServingTls, ours: Authority, client: Pair) -> None:
    """Put what belongs there into the files of ``tls``."""
    for source, path in zip((ours.certificate, *client), tls.paths, strict=True):
        put(source, path)


def shown_by(pair: Pair, clients: Authority | None = None) -> grpc.ServerCredentials:
    ca = None if clients is None else clients.certificate.read_bytes()
    return grpc.ssl_server_credentials([(pair.key.read_bytes(), pair.certificate.read_bytes())], ca, clients is not None)


@asynccontextmanager
async def client_of(port: int, tls: ServingTls | None) -> AsyncIterator[BackendClient]:
    client = BackendClient(f"127.0.0.1:{port}", tls)
    client.start()
    try:
        yield client
    finally:
        await client.close()


@on_loop
async def test_one_way_and_mutual(ours, server, client):
    for clients, tls in ((None, ServingTls(ours.certificate, name="serving")), (ours, mutual(ours, client))):
        fake = FakeServing()
        with serving(fake, credentials=shown_by(server, clients)) as port:
            async with client_of(port, tls) as asking:
                assert (await predict(asking)).outputs["y"].tolist() == [[2, 4]]
                assert asking.connection.problem == ""


def mutual(ours: Authority, client: Pair) -> ServingTls:
    return ServingTls(ours.certificate, client.certificate, client.key, "serving")


@on_loop
async def test_the_name_is_the_targets_host_where_none_is_set(ours):
    with serving(FakeServing(), credentials=shown_by(ours.signed("address", "IP:127.0.0.1"))) as port:
        async with client_of(port, ServingTls(ours.certificate)) as asking:
            await predict(asking)


# What is wrong, and what the reason says.
WRONG = {
    "another CA": "the model server's certificate is not signed by those of GATEWAY_SERVING_TLS_CA",
    "another name": "the model server's certificate is for another name; GATEWAY_SERVING_TLS_NAME must be one in it",
    "no name": "the model server's certificate is for another name; GATEWAY_SERVING_TLS_NAME must be one in it",
    "expired": "the model server's certificate has expired",
    "no client certificate": "the model server closes the connection: it may want a client's certificate, "
    "and GATEWAY_SERVING_TLS_CERT is not set",
    "client certificate of another CA": "the model server closes the connection: it may not trust the certificate of "
    "GATEWAY_SERVING_TLS_CERT",
    "a server without TLS": "the model server speaks no TLS, and GATEWAY_SERVING_TLS_CA is set",
    "a gateway without TLS": "the model server closes the connection: it may speak TLS, and GATEWAY_SERVING_TLS_CA is not set",
    "a gateway without TLS, a server of mutual TLS": "the model server closes the connection: it may speak TLS, "
    "and GATEWAY_SERVING_TLS_CA is not set",
    "a CA that is none": "the file of GATEWAY_SERVING_TLS_CA cannot be used",
    "a damaged CA": "the file of GATEWAY_SERVING_TLS_CA cannot be used",
    "another key": "the file of GATEWAY_SERVING_TLS_CERT cannot be used",
    "a missing key": "the file of GATEWAY_SERVING_TLS_KEY cannot be used",
}


@pytest.fixture(params=WRONG)
def wrong(request, ours, theirs, server, client) -> Iterator[tuple[int, ServingTls | None, str]]:
    """A server's port, the files of the gateway, and the reason why it cannot connect."""
    case = request.param
    clients = ours if "client cert" in case or "mutual" in case else None
    shown = (
        None
        if case == "a server without TLS"
        else shown_by(ours.signed("old", days=-1) if case == "expired" else server, clients)
    )
    other, none, damaged = theirs.signed("gateway"), ours.folder / "none", ours.folder / "damaged"
    none.write_text("nonsense")
    damaged.write_text(ours.certificate.read_text().replace("M", "", 1))
    right = ours.certificate
    tls = {
        "another CA": ServingTls(theirs.certificate, name="serving"),
        "another name": ServingTls(right, name="other"),
        "no name": ServingTls(right),
        "expired": ServingTls(right, name="old"),
        "client certificate of another CA": mutual(ours, other),
        "a gateway without TLS": None,
        "a gateway without TLS, a server of mutual TLS": None,
        "a CA that is none": ServingTls(none, name="serving"),
        "a damaged CA": ServingTls(damaged, name="serving"),
        "another key": mutual(ours, Pair(client.certificate, other.key)),
        "a missing key": mutual(ours, Pair(client.certificate, ours.folder / "nowhere")),
    }
    with serving(FakeServing(), credentials=shown) as port:
        yield port, tls.get(case, ServingTls(right, name="serving")), WRONG[case]


@on_loop
async def test_what_is_wrong_is_one_line_that_names_the_setting_and_the_problem_of_the_connection(wrong):
    port, tls, reason = wrong
    with capture_logs() as told:
        async with client_of(port, tls) as asking:
            await until(lambda: asking.connection.problem)
            assert asking.connection.problem == reason
            assert not asking.is_connected
            assert await asking.connection.reason() == reason
            for _ in range(4):
                await asking.connection.look()
    lines = [line for line in told if line["log_level"] == "warning"]
    assert len(lines) == 1, lines
    setting = next(word.rstrip(",;") for word in reason.split() if word.startswith("GATEWAY_")) if "GATEWAY_" in reason else ""
    assert setting in lines[0]["reason"]


@on_loop
async def test_a_server_that_is_not_there_or_says_nothing_is_not_the_fault_of_a_setting(ours):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for port in (free_port(), silent.getsockname()[1]):
            for tls in (None, ServingTls(ours.certificate, name="serving")):
                async with client_of(port, tls) as asking:
                    await until(lambda: asking.connection._link.has_failed)
                    assert await asking.connection.reason() == ""


@on_loop
async def test_a_name_that_cannot_be_resolved_names_the_target():
    client = BackendClient("dns:///nowhere.invalid:8500")
    client.start()
    await until(lambda: client.connection.problem == "the name in GATEWAY_SERVING_TARGET cannot be resolved")
    await client.close()


@on_loop
async def test_replaced_files_are_taken_up_while_calls_end_where_they_are(ours, theirs, server, tls, tmp_path):
    fake = FakeServing()
    peers = recorded_peers(fake)
    other = theirs.signed("second")
    both = tmp_path / "both.pem"
    both.write_bytes(ours.certificate.read_bytes() + theirs.certificate.read_bytes())
    trusts_both = Authority(tmp_path, both, both)
    with serving(fake, credentials=shown_by(server, trusts_both)) as port:
        async with client_of(port, tls) as asking:
            await predict(asking)
            fake.release.clear()
            held = asyncio.create_task(predict(asking, 30))
            await until(lambda: fake.calls.count("Predict") == 2)
            first = asking.connection._link
            for source, path in zip(other, (tls.certificate, tls.key), strict=True):
                put(source, path)
            await until(lambda: asking.connection._link is not first)
            assert not held.done()
            later = asyncio.create_task(predict(asking, 30))
            await until(lambda: fake.calls.count("Predict") == 3)
            fake.release.set()
            for call in (held, later):
                assert (await call).outputs["y"].tolist() == [[2, 4]]
            assert peers() == ["gateway", "gateway", "second"]
            await until(lambda: not asking.connection._closing)


def recorded_peers(fake: FakeServing):
    """The names in the certificates of those who called Predict, in order."""
    found: list[str] = []
    begin = fake._begin

    def note(call, context):
        if call == "Predict":
            found.append(context.auth_context()["x509_common_name"][0].decode())
        begin(call, context)

    fake._begin = note
    return lambda: found


@pytest.mark.parametrize("broken", ["nonsense", "half", "another key", "another CA"])
@on_loop
async def test_broken_files_are_told_once_and_the_connection_stays_until_they_are_mended(ours, theirs, client, tls, broken):
    with serving(FakeServing(), credentials=shown_by(ours.signed("serving"), ours)) as port, capture_logs() as told:
        async with client_of(port, tls) as asking:
            await predict(asking)
            first = asking.connection._link
            if broken == "nonsense":
                tls.ca.write_text("nonsense")
            elif broken == "half":
                tls.ca.write_bytes(ours.certificate.read_bytes()[:200])
            elif broken == "another key":
                put(theirs.signed("gateway").key, tls.key)
            else:
                put(theirs.certificate, tls.ca)
            await until(lambda: warnings(told))
            for _ in range(4):
                await asking.connection.look()
            await predict(asking)
            assert (asking.is_connected, asking.connection.problem) == (True, "")
            assert asking.connection._link is first
            mend(tls, ours, client)
            await until(lambda: asking.connection._link is not first)
            await predict(asking)
    assert len(warnings(told)) == 1
    assert "GATEWAY_SERVING_TLS_" in warnings(told)[0]["reason"]
    assert [line["event"] for line in told if line["event"] == "backend.certificate_changed"] == ["backend.certificate_changed"]


def warnings(told):
    return [line for line in told if line["log_level"] == "warning"]


@on_loop
async def test_files_that_are_mended_after_a_wrong_start_connect(ours, theirs, server, tls):
    put(theirs.certificate, tls.ca)
    with serving(FakeServing(), credentials=shown_by(server, ours)) as port:
        async with client_of(port, tls) as asking:
            await until(lambda: "GATEWAY_SERVING_TLS_CA" in asking.connection.problem)
            tls.ca.write_text("nonsense")
            put(ours.certificate, tls.ca)
            await until(lambda: asking.is_connected)
            assert asking.connection.problem == ""
            await predict(asking)


@on_loop
async def test_a_connection_of_the_old_files_is_not_opened_again_when_it_is_lost(ours, theirs, server, tls):
    """The files that lie there now decide whom the gateway trusts."""
    fake = FakeServing()
    port = free_port()
    async with client_of(port, tls) as asking:
        with serving(fake, port, credentials=shown_by(server, ours)):
            await until(lambda: asking.is_connected)
            put(theirs.certificate, tls.ca)
            await until(lambda: asking.connection._next is not None)
        with serving(fake, port, credentials=shown_by(server, ours)):
            await until(lambda: "GATEWAY_SERVING_TLS_CA" in asking.connection.problem)
            assert not asking.is_connected


@on_loop
async def test_status_and_metadata_go_by_tls_too(ours, server):
    with serving(FakeServing(), credentials=shown_by(server)) as port:
        async with client_of(port, ServingTls(ours.certificate, name="serving")) as asking:
            assert (await asking.status(MODEL, Deadline.after(5))).available == (1,)
            assert (await asking.metadata(MODEL, Deadline.after(5))).model_spec.version.value == 1


def test_settings_that_need_others_say_which(ours, client):
    ca, (certificate, key) = ours.certificate, client
    assert serving_tls(None, None, None, "") is None
    assert serving_tls(ca, certificate, key, "x") == ServingTls(ca, certificate, key, "x")
    for given, missing in (
        ((ca, certificate, None, ""), "GATEWAY_SERVING_TLS_KEY: "),
        ((ca, None, key, ""), "GATEWAY_SERVING_TLS_CERT: "),
        ((None, certificate, key, ""), "GATEWAY_SERVING_TLS_CA: "),
        ((None, None, None, "x"), "GATEWAY_SERVING_TLS_CA: "),
    ):
        with pytest.raises(ValueError, match=missing):
            serving_tls(*given)


@on_loop
async def test_a_server_that_is_mended_is_no_problem_any_more(ours, server):
    port = free_port()
    async with client_of(port, ServingTls(ours.certificate, name="serving")) as asking:
        with serving(FakeServing(), port):
            await until(lambda: "speaks no TLS" in asking.connection.problem)
        with serving(FakeServing(), port, credentials=shown_by(server)):
            await until(lambda: asking.is_connected)
            assert asking.connection.problem == ""


@on_loop
async def test_an_address_at_which_nobody_answers_is_logged_once_and_no_client_is_told_why():
    port = free_port()
    with capture_logs() as told:
        async with client_of(port, None) as client:
            await until(lambda: [event["event"] for event in told].count("backend.cannot_connect") == 1)
            for _ in range(3):
                await client.connection.look()
            assert client.problem == ""
    [event] = [event for event in told if event["event"] == "backend.cannot_connect"]
    assert (event["target"], event["reason"]) == (f"127.0.0.1:{port}", "nobody answers at this address")

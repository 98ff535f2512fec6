"""The worker classes themselves, under a bare gunicorn, serve any WSGI application as gunicorn's own thread worker does."""

import json
import ssl
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.stack.http_case import CLOSED, KEPT, PROBE, Case, Outcome, play
from tests.stack.http_cases_app import CASES, get, head, post
from tests.stack.http_exceptions import EXCEPTIONS, OTHERWISE
from tests.stack.http_servers import OTHERS, WORKERS, AppServer, app_servers, at_a_time
from tests.stack.http_wire import Answer, Wire
from tests.waiting import wait_for

SAME = [case for case in CASES if case.id not in OTHERWISE]
BY_ID = {case.id: case for case in SAME}
OTHER = [case for case in CASES if case.id in OTHERWISE]
# The gateway's own settings: no header of a client decides on path, scheme or script name.
GATEWAY_CONFIG = {"forwarder_headers": "", "secure_scheme_headers": {}}


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    with app_servers(tmp_path_factory.mktemp("app")) as started:
        yield started


@pytest.fixture(scope="module")
def outcomes(servers) -> dict[str, dict[str, Outcome]]:
    return {name: play_all(server.port, SAME) for name, server in servers.items()}


def play_all(port: int, some: list[Case]) -> dict[str, Outcome]:
    found = at_a_time(6, lambda case: play(case, port), some)
    return {case.id: outcome for case, outcome in zip(some, found, strict=True)}


def comparable(outcome: Outcome) -> Outcome:
    """Without the pages of refusals, which are the gateway's own."""
    answers = tuple(
        replace(answer, headers=(), body=b"", first_line=b"") if is_page(answer) else answer for answer in outcome.answers
    )
    is_page_to_head = outcome.rest.startswith((b"<html>", b'{"error"'))
    return replace(outcome, answers=answers, rest=b"" if is_page_to_head else outcome.rest)


def is_page(answer: Answer) -> bool:
    """Whether gunicorn made the answer itself, for what reaches no application or fails there: those have no date."""
    return answer.status >= 400 and answer.header(b"date") is None


@pytest.mark.parametrize("case", SAME, ids=BY_ID)
def test_gunicorns_own_worker_does_what_the_table_says(outcomes, case):
    assert outcomes["stock"][case.id].told == case.told, outcomes["stock"][case.id]


@pytest.mark.parametrize("case", SAME, ids=BY_ID)
@pytest.mark.parametrize("worker", WORKERS)
def test_the_gateways_workers_do_the_same(outcomes, worker, case):
    found = outcomes[worker][case.id]
    if (worker, case.id) in EXCEPTIONS:
        assert comparable(found).answers == comparable(outcomes["stock"][case.id]).answers
        return
    assert found.told == case.told, found
    assert comparable(found) == comparable(outcomes["stock"][case.id])


@pytest.mark.parametrize("case", SAME, ids=BY_ID)
@pytest.mark.parametrize("worker", OTHERS)
def test_and_to_the_letter_what_the_gateways_thread_worker_does(outcomes, worker, case):
    """Pages of refusals included."""
    if (worker, case.id) in EXCEPTIONS:
        assert outcomes[worker][case.id].answers == outcomes["thread"][case.id].answers
        return
    assert outcomes[worker][case.id] == outcomes["thread"][case.id]


@pytest.fixture(scope="module")
def others(tmp_path_factory) -> dict[str, dict[str, Outcome]]:
    """What comes of the cases in which the gateway's workers do otherwise, on servers whose logs nobody compares."""
    with app_servers(tmp_path_factory.mktemp("otherwise")) as started:
        ours = [replace(case, expected=OTHERWISE[case.id]) for case in OTHER]
        return {name: play_all(server.port, OTHER if name == "stock" else ours) for name, server in started.items()}


def test_whoever_does_otherwise_has_a_case():
    assert {case.id for case in OTHER} == OTHERWISE.keys()


@pytest.mark.parametrize("case", OTHER, ids=lambda case: case.id)
def test_where_gunicorn_keeps_silent_about_a_connection_the_gateways_workers_do_not(others, case):
    assert others["stock"][case.id].told == case.told
    for worker in WORKERS:
        found = others[worker][case.id]
        assert found.told == OTHERWISE[case.id]
        assert found == others["thread"][case.id]
        told = [answer.header(b"connection") for answer in found.answers if answer.status >= 200]
        assert told == ([b"keep-alive"] if found.ending == KEPT else [b"close"]) * len(told)


def test_the_servers_objects_can_do_all_that_the_protocol_wants(servers):
    wanted = {
        "wsgi.input": {"read", "readline", "readlines", "__iter__"},
        "wsgi.errors": {"write", "flush"},
        "wsgi.file_wrapper": {"__call__"},
        "wsgi.early_hints": {"__call__"},
        "gunicorn.socket": {"sendall"},
    }
    for server in servers.values():
        told = json.loads(play(Case("abilities", "200 kept", (get("/abilities"),)), server.port).answers[0].body)
        assert {key: set(told[key]) & abilities for key, abilities in wanted.items()} == wanted


def test_every_iterable_is_closed_once_for_each_request(servers, outcomes):
    told = {
        name: play(Case("closed", "200 kept", (get("/closed"),)), server.port).answers[0].body
        for name, server in servers.items()
    }
    assert json.loads(told["stock"])
    assert set(told.values()) == {told["stock"]}


def lines(path: Path) -> Counter:
    return Counter(path.read_text(encoding="latin-1").splitlines())


def same_lines(servers: dict[str, AppServer], worker: str, log: str) -> None:
    """The logs may be written after the answer."""

    def difference() -> Counter:
        here, there = lines(getattr(servers["stock"], log)), lines(getattr(servers[worker], log))
        return Counter({line: there[line] - here[line] for line in here | there if here[line] != there[line]})

    try:
        wait_for(lambda: not difference(), 5)
    except AssertionError:
        assert difference() == Counter()


@pytest.mark.parametrize("worker", WORKERS)
def test_the_access_logs_are_the_same(servers, outcomes, worker):
    """But for what gunicorn itself refuses, whose pages are not of the same length."""
    same_lines(servers, worker, "access_log")


@pytest.mark.parametrize("worker", WORKERS)
def test_the_same_hooks_are_called(servers, outcomes, worker):
    same_lines(servers, worker, "hooks_log")


def test_no_worker_ended(servers, outcomes):
    for name, server in servers.items():
        assert "Booting worker" in server.log.read_text(), name
        assert server.log.read_text().count("Booting worker") == 1, server.log.read_text()


# With the gateway's settings these headers are nobody's.
UNFORWARDED = {"environ: two that differ", "environ: the same twice, different", "environ: SCRIPT_NAME that does not fit"}
ENVIRON = [
    replace(case, expected="200 kept") if case.id in UNFORWARDED else case for case in SAME if case.id.startswith("environ:")
]


def test_with_the_gateways_settings_no_header_decides_on_scheme_or_path(tmp_path):
    with app_servers(tmp_path, **GATEWAY_CONFIG) as started:
        outcomes = {name: play_all(server.port, ENVIRON) for name, server in started.items()}
    for case in ENVIRON:
        told = {name: comparable(found[case.id]) for name, found in outcomes.items()}
        assert told["stock"].told == case.told
        assert all(outcome == told["stock"] for outcome in told.values()), (case.id, told)
        for answer in told["stock"].answers:
            if answer.body.startswith(b"{"):
                assert json.loads(answer.body)["wsgi.url_scheme"] == "'http'"
                assert json.loads(answer.body)["SCRIPT_NAME"] == "''"


def told_by_each(folder: Path, some: list[Case], **config: object) -> dict[str, dict[str, Outcome]]:
    """What comes of ``some`` under ``config``, after it was checked that stock does as they say."""
    with app_servers(folder, **config) as started:
        outcomes = {name: play_all(server.port, some) for name, server in started.items()}
    assert {name: outcome.told for name, outcome in outcomes["stock"].items()} == {case.id: case.told for case in some}
    return outcomes


def check_same(outcomes: dict[str, dict[str, Outcome]]) -> None:
    expected = {name: comparable(outcome) for name, outcome in outcomes["stock"].items()}
    for worker in WORKERS:
        assert {name: comparable(outcome) for name, outcome in outcomes[worker].items()} == expected, worker


def test_after_max_requests_a_connection_is_let_go_and_a_new_worker_answers(tmp_path):
    three = Case("three", "200*3 closed", (get("/healthz") * 5,))
    with app_servers(tmp_path, max_requests=3) as started:
        for server in started.values():
            for _ in range(3):
                wait_for(lambda port=server.port: play(three, port).told == three.told)
            wait_for(lambda log=server.hooks_log: lines(log)["exit"] >= 2)


def test_without_keepalive_every_answer_lets_go(tmp_path):
    some = [
        Case("get", "200 closed", (get("/healthz"),)),
        Case("pipeline", "200 closed", (get("/healthz") * 3,)),
        Case("stream", "200 closed", (get("/stream"),)),
        Case("post", "200 closed", (post("/read-all"),)),
    ]
    check_same(told_by_each(tmp_path, some, keepalive=0))


def test_limits_that_are_set_hold(tmp_path):
    """Smaller than the defaults, and than what a shortcut might take for plain."""
    field = b"X-A: " + b"a" * 53 + b"\r\n"
    some = [
        Case("line at the limit", "200 kept", (get("/" + "a" * 85),)),
        Case("line over the limit", "414 closed", (get("/" + "a" * 90),)),
        Case("fields at the limit", "200 kept", (get("/e", b"X-A: 1\r\n" * 4),)),
        Case("fields over the limit", "431 closed", (get("/e", b"X-A: 1\r\n" * 5),)),
        Case("field at the limit", "200 kept", (get("/e", field),)),
        Case("field over the limit", "431 closed", (get("/e", b"b" + field),)),
    ]
    check_same(told_by_each(tmp_path, some, limit_request_line=100, limit_request_fields=5, limit_request_field_size=60))


def test_gunicorns_rules_that_are_loosened_are_loosened(tmp_path):
    some = [
        Case("method", "200 kept", (get("/e", method=b"ge"),)),
        Case("version", "200 kept", (get("/e", version=b"2.0"),)),
        Case("case of the method", "200 kept", (get("/e", method=b"get"),)),
        Case("folding", "200 kept", (get("/e", b"X-A: 1\r\n 2\r\n"),)),
        Case("space before the colon", "200 kept", (get("/e", b"X-A : 1\r\n"),)),
        Case("underscores", "200 kept", (get("/e", b"X_A: 1\r\nX-A: 2\r\n"),)),
    ]
    rules = ("method", "version")
    loosened = {f"permit_unconventional_http_{rule}": True for rule in rules} | {"casefold_http_method": True}
    loosened |= {"permit_obsolete_folding": True, "strip_header_spaces": True}
    check_same(told_by_each(tmp_path, some, header_map="dangerous", **loosened))


def test_a_header_with_an_underscore_may_be_refused(tmp_path):
    some = [
        Case("underscore", "400 closed", (get("/e", b"X_A: 1\r\n"),)),
        Case("hyphen", "200 kept", (get("/e", b"X-A: 1\r\n"),)),
    ]
    check_same(told_by_each(tmp_path, some, header_map="refuse"))


def test_the_proxy_protocol_tells_the_address(tmp_path):
    line = b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n"
    some = [
        Case("told", "200 kept", (line + get("/e"),)),
        Case("told, twice asked", "200 200 kept", (line + get("/e") * 2,)),
        Case("not told", "200 kept", (get("/e"),)),
        Case("bad", "400 closed", (b"PROXY TCP9 x\r\n" + get("/e"),)),
    ]
    check_same(told_by_each(tmp_path, some, proxy_protocol="auto"))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("tls")
    files = {"keyfile": str(folder / "key.pem"), "certfile": str(folder / "cert.pem")}
    subject = ["-subj", "/CN=localhost", "-keyout", files["keyfile"], "-out", files["certfile"]]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject], check=True, capture_output=True
    )
    return files


def test_tls_is_spoken(tmp_path, certificate):
    """Each exchange as without it; and a client that speaks none is let go."""
    context = ssl.create_default_context(cafile=certificate["certfile"])
    with app_servers(tmp_path, **certificate) as started:
        for server in started.values():
            for sent in ((get("/healthz"),), (post("/read-all"), get("/stream")), (get("/large"),), (head("/file"),)):
                check_over_tls(server.port, context, sent)
            with Wire(server.port) as wire:
                wire.play((get("/healthz"),))
                assert all(answer.status >= 400 for answer in wire.read_to_the_end())
                assert wire.is_closed


def check_over_tls(port: int, context: ssl.SSLContext, requests: tuple[bytes, ...]) -> None:
    heads = [place for place, request in enumerate(requests) if request.startswith(b"HEAD")]
    with Wire(port, heads) as wire:
        wire.sock = context.wrap_socket(wire.sock, server_hostname="localhost")
        for place, request in enumerate((*requests, PROBE)):
            wire.play((request,))
            wire.read_until(lambda answers, place=place: len(answers) > place)
        assert [answer.status for answer in wire.answers] == [200] * (len(requests) + 1)


def test_head_never_has_a_body(outcomes):
    for found in outcomes.values():
        for case in (case for case in SAME if b"HEAD" in b"".join(piece for piece in case.pieces if isinstance(piece, bytes))):
            assert all(not answer.body for answer in found[case.id].answers), case.id
            assert found[case.id].ending in (KEPT, CLOSED)


def test_the_length_told_to_head_is_that_of_get(servers):
    for server in servers.values():
        for path in ("/healthz", "/large", "/file"):
            got = play(Case("get", "200 kept", (get(path),)), server.port).answers[0]
            told = play(Case("head", "200/HEAD kept", (head(path),)), server.port).answers[0]
            assert int(told.header(b"content-length") or 0) == len(got.body)

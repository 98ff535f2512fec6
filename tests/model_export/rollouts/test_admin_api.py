"""A gateway's /admin/rollouts over real sockets, and what is said when it does not do what it was asked."""

import pytest

from model_export.errors import ExportError
from model_export.rollouts.admin_api import GatewayAwayError, GatewayRefusedError, Pinned, Rollout, admin_api
from tests.model_export.rollouts.fake_gateway import KEY, plan
from tests.waiting import free_port

ROLLOUT = Rollout(
    model="m", id="m-2-f4a1", state="running", stable=1, canary=2, is_ended=False, is_open=True, reason="not enough data"
)


def test_the_rollouts_are_read(gateway):
    gateway.runs(plan(reason="not enough data"))

    assert admin_api(gateway.url, KEY).rollouts() == [ROLLOUT]
    assert admin_api(gateway.url, KEY).rollout_of("m") == ROLLOUT
    assert admin_api(gateway.url, KEY).rollout_of("other") is None


def test_a_draft_may_have_no_stable_yet(gateway):
    gateway.answers["POST", "/admin/rollouts/m"] = (201, plan("draft", stable=None))

    assert admin_api(gateway.url, KEY).start("m", {"canary": 2}).stable is None
    assert gateway.asked == [("POST", "/admin/rollouts/m", {"canary": 2})]


def test_a_pin_tells_which_server_has_not_taken_it_over(gateway):
    servers = {"10.0.0.1:8500": "", "10.0.0.2:8500": "UNIMPLEMENTED"}
    answer = {"model": "m", "versions": [1, 2], "confirmed": False, "servers": servers}
    gateway.answers["POST", "/admin/rollouts/m/pin"] = (200, answer)

    assert admin_api(gateway.url, KEY).pin("m") == Pinned((1, 2), False, ("10.0.0.2:8500: UNIMPLEMENTED",))


@pytest.mark.parametrize(("key", "sent"), [(KEY, f"Bearer {KEY}"), (None, None)], ids=["a key", "none"])
def test_the_key_is_sent_as_a_bearer_token(gateway, key, sent):
    admin_api(gateway.url, key).rollouts()

    assert gateway.keys == {sent}


def test_a_path_of_the_address_comes_first(gateway):
    gateway.answers["GET", "/models/admin/rollouts"] = (200, {"rollouts": []})

    assert admin_api(f"{gateway.url}/models/", KEY).rollouts() == []


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("gateway:8080", "expected one such as http://127.0.0.1:8080"),
        ("http://", "expected one such as"),
        ("http://user:password@host", "expected one such as"),
        ("http://host:port", "is no gateway's address: Port could not be cast"),
        ("ftp://host", "expected one such as"),
    ],
)
def test_what_is_no_address_is_told_before_anything_is_done(url, told):
    with pytest.raises(ExportError, match=told):
        admin_api(url, None)


def test_a_key_that_no_header_can_have_is_told_without_showing_it():
    with pytest.raises(ExportError, match="GATEWAY_KEY is no key") as raised:
        admin_api("http://host", "secret\nX-Other: 1")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (403, {"error": "NO", "message": "keys are off: make one"}, "answers 403: keys are off: make one"),
        (409, {"error": "a rollout of m runs"}, "answers 409: a rollout of m runs"),
        (400, {"error": "2 problems", "details": [{"pointer": "/steps"}]}, r"answers 400: 2 problems \(pointer: /steps\)"),
        (404, "<html>\n nothing </html>", "answers 404: <html> nothing </html>"),
        (404, ["no", "object"], r'answers 404: \["no", "object"\]'),
        (302, "", "no redirect is followed with a key"),
    ],
    ids=["keys off", "refused", "details", "no json", "no object", "redirect"],
)
def test_a_refusal_is_told_in_the_gateways_words(gateway, status, body, told):
    gateway.answers["POST", "/admin/rollouts/m"] = (status, body)

    with pytest.raises(GatewayRefusedError, match=told) as raised:
        admin_api(gateway.url, KEY).start("m", {"canary": 2})
    assert "\n" not in str(raised.value)
    assert gateway.calls() == ["POST /admin/rollouts/m"]


def test_without_a_key_a_refusal_names_the_variable(gateway):
    gateway.refuses("GET", "/admin/rollouts", 401, "a key is needed")

    with pytest.raises(GatewayRefusedError, match="a key is needed; GATEWAY_KEY is not set"):
        admin_api(gateway.url, None).rollouts()
    with pytest.raises(GatewayRefusedError, match=r"a key is needed$"):
        admin_api(gateway.url, KEY).rollouts()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (503, {"message": "the database is away"}),
        (200, "not json"),
        (200, {"rollouts": [{"model": "m"}]}),
        (200, {"rollouts": None}),
        (200, []),
    ],
    ids=["503", "no json", "fields missing", "no list", "no object"],
)
def test_an_answer_that_says_nothing_is_not_taken_for_one(gateway, status, body):
    gateway.answers["GET", "/admin/rollouts"] = (status, body)

    with pytest.raises(GatewayAwayError):
        admin_api(gateway.url, KEY).rollouts()


def test_a_gateway_that_is_not_there_is_named():
    address = f"http://127.0.0.1:{free_port()}"

    with pytest.raises(GatewayAwayError, match=f"the gateway at {address} does not answer: .*Connection refused"):
        admin_api(address, KEY).rollouts()


def test_a_long_answer_is_cut(gateway):
    gateway.answers["GET", "/admin/rollouts"] = (404, "x" * 10_000)

    with pytest.raises(GatewayRefusedError, match=r"x \.\.\.$") as raised:
        admin_api(gateway.url, KEY).rollouts()
    assert len(str(raised.value)) < 600

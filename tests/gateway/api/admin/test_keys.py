"""/admin/keys over the whole application, with a key file and a fake model server."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, Thread

import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs

from gateway.access import key_text
from gateway.access.commands import keys as keys_command
from gateway.access.key_file import read
from gateway.access.limits.limit import parse_limits
from gateway.access.managed_keys import ManagedKeys
from gateway.api.admin.keys import Keys
from gateway.api.body import Bodies
from gateway.api.errors import json_answer
from gateway.call import Call
from tests.event_loop import on_loop
from tests.gateway.access.made_keys import make_key, write
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[4]
RULE = "/admin/keys"
A_KEY = re.compile(r"sgk_\w{45}")
CHANGES = ((RULE, {"name": "new"}), (f"{RULE}/user/rotate", {}), (f"{RULE}/user/disable", {}))

READ_ONLY = """
import json, sys
from gateway.app import close, create_app
from gateway.settings import settings_from_environment
from gateway.telemetry import logs
from tests.gateway.api.admin.test_keys import CHANGES, RULE

logs.configure("ERROR")
path, key = sys.argv[1:]
app = create_app(settings_from_environment({"GATEWAY_KEYS_FILE": path, "GATEWAY_SERVING_TARGET": "127.0.0.1:1"}))
client, headers = app.test_client(), {"Authorization": key}
changed = (client.post(where, data=json.dumps(body), headers=headers) for where, body in CHANGES)
for answer in (client.get(RULE, headers=headers), *changed):
    print(json.dumps([answer.status_code, answer.json]))
close(app)
"""

CHANGING = """
import json, sys
from gateway.app import close, create_app
from gateway.settings import settings_from_environment
from gateway.telemetry import logs
from tests.gateway.api.admin.test_keys import RULE

logs.configure("DEBUG")
path, key = sys.argv[1:]
app = create_app(settings_from_environment({"GATEWAY_KEYS_FILE": path, "GATEWAY_SERVING_TARGET": "127.0.0.1:1"}))
client, headers = app.test_client(), {"Authorization": key}


def change(where, body):
    answer = client.post(where, data=json.dumps(body), headers=headers).json
    print(json.dumps(answer))
    return answer.get("key")


made = change(RULE, {"name": "mobile"})
rotated = change(f"{RULE}/mobile/rotate", {})
change(f"{RULE}/mobile/disable", {})
change(f"{RULE}/{made}/disable", {})
change(f"{RULE}/{made}/rotate", {"overlap": rotated})
change(RULE, {"name": made, "models": [rotated], "scopes": [rotated], "limits": rotated, rotated: made})
close(app)
logs.flush()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys" / "keys.jsonl"


@pytest.fixture
def keys(path):
    """The headers of keys, by their names."""
    created = {"created": datetime.now(UTC).replace(microsecond=0)}
    made = {
        "boss": make_key("boss", scopes=("admin",), **created),
        "digits_boss": make_key("digits_boss", scopes=("admin",), models=("digits*",), **created),
        "user": make_key("user", scopes=("predict", "metadata"), limits="9/min", **created),
        "reader": make_key("reader", models=("digits_2",), **created),
    }
    path.parent.mkdir()
    write(path, *(key for _, key in made.values()))
    return {name: bearer(text) for name, (text, _) in made.items()}


@pytest.fixture
def client(make_client, config_file, keys, path):
    made = make_client(model_config_file=config_file, keys_file=path)
    wait_for(lambda: made.get(RULE, headers=keys["boss"]).status_code == 200)
    return made


def bearer(text):
    return {"Authorization": f"Bearer {text}"}


def in_file(path):
    return read(path, parse_limits)


def names(answer):
    return [row["name"] for row in answer.json["keys"]]


def test_without_keys_the_answer_names_the_setting(make_client, config_file):
    client = make_client(model_config_file=config_file)
    for answer in (client.get(RULE), *(client.post(where, body) for where, body in CHANGES)):
        assert answer.status_code == 404
        assert "GATEWAY_KEYS_FILE" in answer.json["message"]
        assert "keys new NAME --scope admin" in answer.json["message"]


class Boss:
    """A caller that may do everything with every key."""

    name, scopes, models = "boss", ("admin",), ("*",)


@on_loop
async def test_no_answer_is_made_on_the_event_loop(path, keys):
    """That of ten thousand keys takes tens of milliseconds."""
    handlers = Keys(ManagedKeys(path, parse_limits), Bodies(None, 10_000))

    def call(body=b""):
        return Call("POST", RULE, "", {}, body, complete_s=0.0, caller=Boss())

    here = []

    def note(frame, event, called):
        if event == "c_call" and called.__name__ in ("dumps", "encode", "to_builtins"):
            here.append(called.__name__)

    sys.setprofile(note)  # of this thread alone, which is that of the event loop
    try:
        with capture_logs():  # a line of the log would be encoded too
            answers = [
                await handlers.all(call()),
                await handlers.new(call(b'{"name": "new"}')),
                await handlers.rotate(call(), "user"),
                await handlers.disable(call(), "user"),
            ]
        json_answer([])
    finally:
        sys.setprofile(None)
    assert [answer.status for answer in answers] == [200, 201, 201, 200]
    assert here == ["dumps"]  # that of the last line


def test_a_key_needs_the_scope_admin(client, keys, path):
    before = path.read_bytes()
    assert client.get(RULE).status_code == 401
    assert client.get(RULE, headers=keys["user"]).status_code == 403
    for where, body in CHANGES:
        assert client.post(where, body).status_code == 401
        assert client.post(where, body, headers=keys["user"]).status_code == 403
    assert path.read_bytes() == before


def test_the_list_is_that_of_the_command(client, keys, path):
    def printed():
        return json.loads(CliRunner().invoke(keys_command(parse_limits), ("list", "--json", "--file", str(path))).stdout)

    answer = client.get(RULE, headers=keys["boss"])
    assert answer.json["keys"] == printed()
    assert names(answer) == ["boss", "digits_boss", "user", "reader"]
    assert "sha256" not in answer.text
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_new_key_is_in_one_answer_and_soon_lets_in(client, keys, path):
    wanted = {
        "name": "mobile",
        "scopes": ["predict", "metadata"],
        "models": ["m"],
        "limits": "100/day; 30/hour",
        "expires": "90d",
    }
    answer = client.post(RULE, wanted, headers=keys["boss"])
    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
    assert A_KEY.fullmatch(answer.json["key"])
    made = in_file(path)[-1]
    assert made.sha256 == key_text.sha256_of(answer.json["key"])
    assert (made.name, made.scopes, made.models, made.limits) == ("mobile", ("predict", "metadata"), ("m",), "100/day; 30/hour")
    assert made.expires - made.created == timedelta(days=90)
    listed = client.get(RULE, headers=keys["boss"])
    assert listed.json["keys"][-1] == {name: value for name, value in answer.json.items() if name != "key"}
    assert listed.headers["ETag"] == answer.headers["ETag"]
    assert answer.json["key"] not in path.read_text() + listed.text
    wait_for(lambda: client.get("/v1/models", headers=bearer(answer.json["key"])).status_code == 200)


def test_a_key_of_a_name_only_is_what_the_command_makes_without_options(client, keys, path):
    assert client.post(RULE, {"name": "plain"}, headers=keys["boss"]).status_code == 201
    CliRunner().invoke(keys_command(parse_limits), ("new", "by_command", "--file", str(path)))
    own, other = in_file(path)[-2:]
    for member in ("scopes", "models", "limits", "expires", "disabled"):
        assert getattr(own, member) == getattr(other, member), member


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ("", [""]),
        ("{", [""]),
        (b"\xff", [""]),
        ("[" * 100_000, [""]),
        ([], [""]),
        ({}, ["/name"]),
        ({"name": 5, "scopes": "admin", "models": [1], "limits": None, "expires": 90, "colour/~": 1},
         ["/name", "/scopes", "/models/0", "/limits", "/expires", "/colour~1~0"]),
        ({"name": "a b", "scopes": ["predict", "predct"], "models": ["x", "a b", "[c"], "limits": "many"},
         ["/name", "/scopes/1", "/models/1", "/models/2", "/limits"]),
        ({"name": "a", "scopes": [], "models": []}, ["/scopes", "/models"]),
        ({"name": "a", "models": ["m"] * 1001}, ["/models"]),
        ({"name": "a", "expires": "0s"}, ["/expires"]),
        ({"name": "a", "expires": "soon"}, ["/expires"]),
        ({"name": "gateway", "scopes": []}, ["/name", "/scopes"]),
    ],
    ids=str,
)  # fmt: skip
def test_a_body_that_makes_no_key_is_told_where_it_is_wrong(client, keys, path, body, pointers):
    before = path.read_bytes()
    answer = client.post(RULE, body, headers=keys["boss"])
    assert answer.status_code == 400
    assert sorted(detail["pointer"] for detail in answer.json["details"]) == sorted(pointers)
    assert path.read_bytes() == before


def test_a_key_that_is_given_in_place_of_a_name_is_not_repeated(client, keys):
    answer = client.post(RULE, {"name": keys["user"]["Authorization"][7:]}, headers=keys["boss"])
    assert answer.status_code == 400
    assert keys["user"]["Authorization"][20:] not in answer.text
    assert "sgk_" in answer.text


def test_rotation_makes_a_second_key_of_the_name(client, keys, path):
    answer = client.post(f"{RULE}/user/rotate", {"overlap": "2h"}, headers=keys["boss"])
    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
    old, new = (key for key in in_file(path) if key.name == "user")
    assert new.sha256 == key_text.sha256_of(answer.json["key"])
    assert (new.scopes, new.models, new.limits) == (old.scopes, old.models, old.limits)
    assert old.expires - new.created == timedelta(hours=2)
    without_body = client.http.post(f"{RULE}/reader/rotate", headers=keys["boss"])
    assert without_body.status_code == 201
    old, new = (key for key in in_file(path) if key.name == "reader")
    assert old.expires - new.created == timedelta(hours=24)


@pytest.mark.parametrize("body", ["x", [], {"overlap": 5}, {"overlap": "-1d"}, {"overlap": None}, {"lap": "1h"}], ids=str)
def test_an_overlap_that_is_none_is_told(client, keys, path, body):
    before = path.read_bytes()
    answer = client.post(f"{RULE}/user/rotate", body, headers=keys["boss"])
    assert answer.status_code == 400
    assert answer.json["details"]
    assert path.read_bytes() == before


def test_a_disabled_name_is_soon_refused(client, keys, path):
    answer = client.post(f"{RULE}/user/disable", {}, headers=keys["boss"])
    assert answer.status_code == 200
    assert [(row["name"], row["state"]) for row in answer.json["keys"]] == [("user", "disabled")]
    assert [key.name for key in in_file(path) if key.disabled] == ["user"]
    wait_for(lambda: client.get("/v1/models", headers=keys["user"]).status_code == 401)
    assert client.post(f"{RULE}/reader/disable", {"now": True}, headers=keys["boss"]).status_code == 400


def test_a_change_that_does_not_fit_is_a_conflict_and_an_unknown_name_is_not_found(client, keys, path):
    before = path.read_bytes()
    conflict = client.post(RULE, {"name": "user"}, headers=keys["boss"])
    assert conflict.status_code == 409
    assert "there is a key user already" in conflict.json["message"]
    for what in ("rotate", "disable"):
        unknown = client.post(f"{RULE}/nobody/{what}", {}, headers=keys["boss"])
        assert unknown.status_code == 404
        assert "there is no key nobody; there are: boss, digits_boss, user, reader" in unknown.json["message"]
    assert path.read_bytes() == before
    client.post(f"{RULE}/user/disable", {}, headers=keys["boss"])
    ended = client.post(f"{RULE}/user/rotate", {}, headers=keys["boss"])
    assert ended.status_code == 409
    assert "each key user has expired or is disabled" in ended.json["message"]


class TestTwoOperators:
    def test_a_change_of_a_list_that_is_not_the_newest_is_refused(self, client, keys, path):
        seen = client.get(RULE, headers=keys["boss"]).headers["ETag"]
        assert client.post(RULE, {"name": "a"}, headers=keys["boss"] | {"If-Match": seen}).status_code == 201
        before = path.read_bytes()
        for where, body in CHANGES:
            late = client.post(where, body, headers=keys["boss"] | {"If-Match": seen})
            assert late.status_code == 412
            assert "the list of keys has changed" in late.json["message"]
        assert path.read_bytes() == before

    def test_every_answer_to_a_change_has_the_tag_of_the_list_after_it(self, client, keys):
        tag = client.get(RULE, headers=keys["boss"]).headers["ETag"]
        for where, body in CHANGES:
            answer = client.post(where, body, headers=keys["boss"] | {"If-Match": tag})
            assert answer.status_code in (200, 201)
            assert answer.headers["ETag"] != tag
            tag = answer.headers["ETag"]
        assert client.get(RULE, headers=keys["boss"]).headers["ETag"] == tag

    @pytest.mark.parametrize(
        ("header", "status"), [("*", 201), ('"other", {}', 201), ('"other"', 412), ("W/{}", 412), ("", 412)]
    )
    def test_the_header_is_that_of_http(self, client, keys, header, status):
        tag = client.get(RULE, headers=keys["boss"]).headers["ETag"]
        headers = keys["boss"] | {"If-Match": header.format(tag)}
        assert client.post(RULE, {"name": "a"}, headers=headers).status_code == status

    def test_what_a_key_is_used_for_changes_no_tag(self, client, keys):
        tags = {client.get(RULE, headers=keys["boss"]).headers["ETag"] for _ in range(3)}
        client.get("/v1/models", headers=keys["user"])
        assert {client.get(RULE, headers=keys["boss"]).headers["ETag"]} == tags

    def test_of_changes_at_once_to_one_list_one_is_made(self, client, keys, path):
        headers = keys["boss"] | {"If-Match": client.get(RULE, headers=keys["boss"]).headers["ETag"]}
        start, statuses = Barrier(8), []

        def add(number):
            start.wait()
            statuses.append(client.http.application.test_client().post(
                RULE, data=json.dumps({"name": f"new{number}"}), headers=headers
            ).status_code)  # fmt: skip

        threads = [Thread(target=add, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [201] + [412] * 7
        assert len(in_file(path)) == 5


class TestAKeyForSomeModels:
    def test_sees_only_the_keys_that_are_for_these(self, client, keys):
        assert names(client.get(RULE, headers=keys["digits_boss"])) == ["digits_boss", "reader"]

    def test_makes_rotates_and_disables_only_keys_for_these(self, client, keys, path):
        own = keys["digits_boss"]
        made = client.post(
            RULE, {"name": "mine", "models": ["digits*", "digits_7"], "scopes": ["predict", "admin"]}, headers=own
        )
        assert made.status_code == 201
        assert client.post(f"{RULE}/reader/rotate", {}, headers=own).status_code == 201
        assert client.post(f"{RULE}/reader/disable", {}, headers=own).status_code == 200
        before = path.read_bytes()
        for where, body in (
            (RULE, {"name": "all"}),
            (RULE, {"name": "more", "models": ["digits_1", "m"]}),
            (RULE, {"name": "eyes", "models": ["digits_1"], "scopes": ["metrics"]}),
            (RULE, {"name": "user"}),
        ):
            refused = client.post(where, body, headers=own)
            assert refused.status_code == 403
            assert "digits_boss may not manage the key" in refused.json["message"]
        assert path.read_bytes() == before

    @pytest.mark.parametrize("headers", [{}, {"If-Match": '"old"'}, {"If-Match": "*"}], ids=str)
    @pytest.mark.parametrize("what", ["rotate", "disable"])
    def test_is_told_of_the_keys_of_others_what_it_is_told_of_unknown_ones(self, client, keys, path, what, headers):
        before = path.read_bytes()
        told = [
            client.post(f"{RULE}/{name}/{what}", {}, headers=keys["digits_boss"] | headers)
            for name in ("boss", "user", "noone")
        ]
        assert {answer.status_code for answer in told} == {412 if '"' in headers.get("If-Match", "") else 404}
        assert {answer.text.replace("boss;", "noone;").replace("user;", "noone;") for answer in told} == {told[-1].text}
        assert told[-1].json["message"] == "there is no key noone; there are: digits_boss, reader" or headers
        assert path.read_bytes() == before

    @pytest.mark.parametrize("is_disabled", [False, True])
    def test_is_told_that_a_name_of_others_is_taken_and_nothing_else(self, client, keys, path, is_disabled):
        """Two keys of one name that different callers look after could be told apart by neither."""
        if is_disabled:
            client.post(f"{RULE}/user/disable", {}, headers=keys["boss"])
        before = path.read_bytes()
        taken = client.post(RULE, {"name": "user", "models": ["digits_1"]}, headers=keys["digits_boss"])
        assert taken.status_code == 409
        assert taken.json["message"] == "the name user is taken: give the key another one"
        assert path.read_bytes() == before

    def test_does_not_change_a_name_that_it_sees_only_some_keys_of(self, client, keys, path):
        client.post(f"{RULE}/reader/disable", {}, headers=keys["boss"])
        client.post(RULE, {"name": "reader", "models": ["fraud"]}, headers=keys["boss"])
        before = path.read_bytes()
        for what in ("rotate", "disable"):
            refused = client.post(f"{RULE}/reader/{what}", {}, headers=keys["digits_boss"])
            assert refused.status_code == 403
            assert refused.json["message"] == "the key digits_boss may not manage each key reader"
        assert path.read_bytes() == before

    def test_is_not_held_up_by_changes_that_it_does_not_see(self, client, keys):
        seen = client.get(RULE, headers=keys["digits_boss"]).headers["ETag"]
        client.post(RULE, {"name": "other"}, headers=keys["boss"])
        headers = keys["digits_boss"] | {"If-Match": seen}
        assert client.post(f"{RULE}/reader/disable", {}, headers=headers).status_code == 200
        assert client.post(f"{RULE}/reader/disable", {}, headers=headers).status_code == 412


def test_an_admin_for_all_models_gives_any_scope(client, keys, path):
    scopes = ["predict", "metadata", "admin", "metrics"]
    assert client.post(RULE, {"name": "new_boss", "scopes": scopes}, headers=keys["boss"]).status_code == 201
    assert list(in_file(path)[-1].scopes) == scopes


def test_a_file_that_cannot_be_written_is_told_with_the_setting(keys, path):
    """On a real mount that is read-only, of which only the child knows."""
    mount = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && exec "$2" -c "$3" "$4" "$5"'
    key = keys["boss"]["Authorization"]
    spaces = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    if subprocess.run([*spaces, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("a mount of its own needs the right to make one")
    before = path.read_bytes()
    command = ["sh", "-euc", mount, "sh", str(path.parent), sys.executable, READ_ONLY, str(path), key]
    done = subprocess.run([*spaces, *command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    listed, *refused = map(json.loads, done.stdout.splitlines())
    assert listed[0] == 200
    assert len(listed[1]["keys"]) == 4
    for status, document in refused:
        assert status == 409
        expected = f"GATEWAY_KEYS_FILE is {path}: it cannot be changed: Read-only file system"
        assert expected in document["message"]
    assert len(refused) == len(CHANGES)
    assert path.read_bytes() == before


def test_a_file_that_others_could_write_is_not_used(client, keys, path):
    path.chmod(0o666)
    for answer in (client.get(RULE, headers=keys["boss"]), client.post(RULE, {"name": "a"}, headers=keys["boss"])):
        assert answer.status_code == 503
        assert f"GATEWAY_KEYS_FILE is {path}: expected a file that only its owner can write" in answer.json["message"]
    path.chmod(0o600)
    assert client.post(RULE, {"name": "a"}, headers=keys["boss"]).status_code == 201


def test_the_log_says_who_changed_what_and_holds_no_secret(keys, path):
    command = [sys.executable, "-c", CHANGING, str(path), keys["boss"]["Authorization"]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    made, rotated, *refused = map(json.loads, done.stdout.splitlines())
    assert all(A_KEY.fullmatch(document["key"]) for document in (made, rotated))
    written = done.stderr + json.dumps(refused)
    events = [json.loads(line) for line in written.splitlines() if '"keys.changed"' in line]
    assert [(event["by"], event["what"], event["name"]) for event in events] == [
        ("boss", "new", "mobile"),
        ("boss", "rotate", "mobile"),
        ("boss", "disable", "mobile"),
    ]
    for secret in (made["key"][13:43], rotated["key"][13:43]):
        assert not any(secret[start : start + 8] in written for start in range(len(secret) - 7))

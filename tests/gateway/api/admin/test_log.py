"""/admin/log over the whole application, with a real sink of each kind."""

import asyncio
import json
import threading
from datetime import UTC, datetime

import ml_dtypes
import numpy as np
import pytest

from gateway.api.admin.log_reader import LogReader
from gateway.deadline import Deadline
from gateway.errors import DeadlineExceeded, Unavailable
from gateway.prediction_log.sinks.address import sink_at
from gateway.prediction_log.sinks.sink import Filter
from gateway.prediction_log.tensors import encode
from tests.gateway.access.made_keys import make_key, write
from tests.gateway.prediction_log.making import a_row
from tests.waiting import wait_for

RULE = "/admin/log"
T = 1_795_694_400_000_000  # 2026-11-26T12:00:00Z
MINUTE = 60_000_000


@pytest.fixture(params=["sqlite", "postgresql", "file"])
def address(request, tmp_path):
    if request.param == "postgresql":
        return request.getfixturevalue("database")
    return {"sqlite": f"sqlite:///{tmp_path}/log.db", "file": f"file://{tmp_path}/log"}[request.param]


@pytest.fixture
def sqlite(tmp_path):
    return f"sqlite:///{tmp_path}/log.db"


@pytest.fixture
def keys(tmp_path):
    """The headers of keys, by their names."""
    created = {"created": datetime.now(UTC)}
    made = {
        "boss": make_key("boss", scopes=("admin",), **created),
        "m_boss": make_key("m_boss", scopes=("admin",), models=("m*", "gone"), **created),
        "user": make_key("user", scopes=("predict", "metadata"), **created),
    }
    write(tmp_path / "keys.jsonl", *(key for _, key in made.values()))
    return {name: {"Authorization": f"Bearer {text}"} for name, (text, _) in made.items()}


@pytest.fixture
def make_guarded(make_client, config_file, keys, tmp_path):
    def make(address):
        client = make_client(model_config_file=config_file, keys_file=tmp_path / "keys.jsonl", prediction_log=address)
        wait_for(lambda: client.get(RULE, headers=keys["boss"]).status_code == 200)
        return client

    return make


def put(address, *rows):
    sink = sink_at(address)
    sink.write(rows)
    sink.close()


def rows_of(count, **changes):
    return [
        a_row(**{"ts": T + n * MINUTE, "boot": "b", "seq": n, "request_id": f"r{n}", "model": "m"} | changes)
        for n in range(1, count + 1)
    ]


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [row["request_id"] for row in answer.json["rows"]]


def test_the_newest_rows_that_the_query_asks_for_come_first(make_guarded, keys, address):
    changes = [
        {"status": 200},
        {"status": 503, "error": "UNAVAILABLE", "version": None},
        {"status": 429, "model": "n"},
        {"status": 500, "version": 4},
    ]
    put(address, *(a_row(ts=T + n * MINUTE, boot="b", seq=n, request_id=f"r{n}", **{"model": "m"} | changes[n % 4])
                   for n in range(1, 9)))  # fmt: skip
    client = make_guarded(address)

    def asked(query):
        return ids(client.get(f"{RULE}?{query}", headers=keys["boss"]))

    assert asked("") == [f"r{n}" for n in range(8, 0, -1)]
    assert asked("model=&version=&status=&n=&from=") == [f"r{n}" for n in range(8, 0, -1)]
    assert asked("n=2") == ["r8", "r7"]
    assert asked("model=n") == ["r6", "r2"]
    assert asked("status=5xx") == ["r7", "r5", "r3", "r1"]
    assert asked("status=503&n=1") == ["r5"]
    assert asked("version=4") == ["r7", "r3"]
    assert asked("request=r3") == ["r3"]
    assert asked("from=2026-11-26T12:06:00Z") == ["r8", "r7", "r6"]
    assert asked("from=2026-11-26T13:06:00%2B01:00&status=2XX") == ["r8"]
    assert asked("model=nobody") == []


def test_more_rows_than_a_page_are_read_whole_also_those_of_one_moment(make_guarded, keys, address):
    """Of 130 rows, 70 have one time: more than the reader has in memory at once."""
    rows = [a_row(ts=T + max(0, n - 100) + min(n, 30), boot="ab"[n % 2], seq=n, request_id=f"r{n}") for n in range(1, 131)]
    for boot in "ab":
        put(address, *(row for row in rows if row.boot == boot))
    client = make_guarded(address)
    found = ids(client.get(f"{RULE}?n=500", headers=keys["boss"]))
    assert len(found) == len(set(found)) == 130
    newest_first = {row.request_id: row.ts for row in rows}
    assert [newest_first[one] for one in found] == sorted(newest_first.values(), reverse=True)
    assert ids(client.get(f"{RULE}?n=77", headers=keys["boss"])) == found[:77]
    assert len(ids(client.get(RULE, headers=keys["boss"]))) == 50


def test_a_request_for_a_prediction_is_soon_a_row_with_its_values(make_guarded, keys, address):
    client = make_guarded(address)
    answer = client.post("/v1/models/m:predict", {"instances": [[1, 2]]}, headers=keys["user"] | {"X-Request-Id": "mine"})
    assert answer.status_code == 200
    wait_for(lambda: ids(client.get(f"{RULE}?request=mine", headers=keys["boss"])) == ["mine"])
    shown = client.get(f"{RULE}?request=mine", headers=keys["boss"])
    (row,) = shown.json["rows"]
    assert set(row) == set(a_row().__struct_fields__)
    assert (row["model"], row["key"], row["status"]) == ("m", "user", 200)
    assert list(row["inputs"].values()) == [[[1.0, 2.0]]]
    assert row["outputs"]
    assert shown.json["values"] is True
    assert shown.headers["Cache-Control"] == "no-store"


def test_a_key_needs_the_scope_admin(make_guarded, keys, sqlite):
    client = make_guarded(sqlite)
    assert client.get(RULE).status_code == 401
    assert client.get(RULE, headers=keys["user"]).status_code == 403


def test_a_key_for_some_models_sees_only_rows_of_these(make_guarded, keys, address):
    put(address, *(a_row(ts=T + n, boot="b", seq=n, request_id=f"r{n}", model=("m", "n", "gone", "other")[n % 4])
                   for n in range(1, 101)))  # fmt: skip
    client = make_guarded(address)
    answer = client.get(f"{RULE}?n=500", headers=keys["m_boss"])
    assert {row["model"] for row in answer.json["rows"]} == {"m", "gone"}
    assert len(ids(answer)) == 50
    refused = client.get(f"{RULE}?model=n", headers=keys["m_boss"])
    assert refused.status_code == 403
    assert "m_boss may not use the model n" in refused.json["message"]
    assert ids(client.get(f"{RULE}?request=r1", headers=keys["m_boss"])) == []


def test_without_keys_everybody_sees_rows_but_no_values(make_client, config_file, address):
    inputs = encode({"x": np.array([1.0])}, whole=True)
    put(address, *rows_of(2, inputs=inputs, outputs=inputs, digest=bytes(16)))
    client = make_client(model_config_file=config_file, prediction_log=address)
    answer = client.get(RULE)
    assert ids(answer) == ["r2", "r1"]
    assert answer.json["values"] is False
    assert [(row["inputs"], row["outputs"], row["digest"]) for row in answer.json["rows"]] == [(None, None, None)] * 2


def test_where_the_log_is_off_the_setting_is_named(make_client, config_file):
    answer = make_client(model_config_file=config_file).get(RULE)
    assert answer.status_code == 404
    assert "GATEWAY_PREDICTION_LOG" in answer.json["message"]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("status=5x", "status: '5x': expected a status such as 500, or all of a kind, such as 5xx"),
        ("status=600", "status: '600'"),
        ("n=0", "n: '0': expected a whole number from 1 to 500"),
        ("n=501", "n: '501'"),
        ("n=" + "9" * 5000, "n: '999"),
        ("n=%C2%B2", "n: '²'"),
        ("version=-1", "version: '-1': expected a whole number from 0 to 9223372036854775807"),
        ("version=9223372036854775808", "version: '9223372036854775808'"),
        ("from=yesterday", "from: 'yesterday': expected a time such as 2026-11-26"),
        ("model=%00", "model: '\\x00': expected up to 200 printable characters"),
        ("model=" + "m" * 201, "model: 'mmm"),
        ("model=a&model=b", "model: expected it once"),
        ("colour=red", "colour: expected one of model, version, status, n, from, request"),
        ("n=0&status=x", "n: '0': expected a whole number from 1 to 500; status: 'x'"),
        ("&".join(["n=1"] * 30), "at most 20 parameters"),
    ],
)  # fmt: skip
def test_a_bad_query_names_the_parameter(make_client, config_file, sqlite, query, told):
    answer = make_client(model_config_file=config_file, prediction_log=sqlite).get(f"{RULE}?{query}")
    assert answer.status_code == 400
    assert told in answer.json["message"]
    assert len(answer.text) < 7000


def test_a_sink_that_is_away_is_told_with_the_reason_and_read_again_when_it_is_back(make_guarded, keys, tmp_path):
    folder = tmp_path / "log"
    address = f"file://{folder}"
    put(address, *rows_of(1))
    client = make_guarded(address)
    (file,) = folder.glob("predictions-*")
    text = file.read_text()
    file.write_text("no row\n")
    away = client.get(RULE, headers=keys["boss"])
    assert away.status_code == 503
    assert "the prediction log cannot be read" in away.json["message"]
    assert "is no row of predictions" in away.json["message"]
    file.write_text(text)
    assert ids(client.get(RULE, headers=keys["boss"])) == ["r1"]


def strings(*contents):
    made = np.empty(len(contents), object)
    made[:] = contents
    return made


class TestValues:
    @pytest.fixture
    def show(self, make_guarded, keys, sqlite):
        """What is shown of tensors that were kept whole."""

        def show(**tensors):
            put(sqlite, a_row(ts=T, boot="b", seq=1, inputs=encode(tensors, whole=True)))
            (row,) = json.loads(make_guarded(sqlite).get(RULE, headers=keys["boss"]).text)["rows"]
            return row["inputs"]

        return show

    def test_whole_numbers_that_a_browser_would_change_are_strings(self, show):
        big = 2**53
        assert show(i=np.array([[1, -big], [big + 1, -(2**63)]]), u=np.array([2**64 - 1, 7], np.uint64), s=np.array(2**60)) == {
            "i": [[1, -big], [str(big + 1), str(-(2**63))]],
            "u": [str(2**64 - 1), 7],
            "s": str(2**60),
        }

    def test_text_is_text_and_other_bytes_are_base64(self, show):
        assert show(t=strings(b"caf\xc3\xa9", b"\xff\x00", b"")) == {"t": ["café", {"b64": "/wA="}, ""]}

    def test_every_other_dtype_is_as_the_command_shows_it(self, show):
        shown = show(
            f=np.array([0.1, np.nan, np.inf], np.float32), h=np.array([1.5], ml_dtypes.bfloat16),
            c=np.array([1 + 2j]), b=np.array([[True], [False]]), e=np.zeros((0, 3), np.float32), x=np.array(0.1, np.float32),
        )  # fmt: skip
        assert shown == {
            "f": [0.1, None, None],
            "h": [1.5],
            "c": [[1.0, 2.0]],
            "b": [[True], [False]],
            "e": [],
            "x": 0.1,
        }

    def test_a_large_tensor_is_its_summary(self, show):
        shown = show(big=np.ones((4097,), np.float32), most=np.ones((4096,), np.float32), text=strings(b"x" * 40_000))
        assert shown["big"] == {"dtype": "float", "shape": [4097], "mean": 1.0, "std": 0.0, "min": 1.0, "max": 1.0, "nan": 0}
        assert shown["most"] == [1.0] * 4096
        assert (shown["text"]["dtype"], shown["text"]["shape"]) == ("string", [1])


def test_an_answer_is_bounded_however_many_rows_have_values(make_guarded, keys, sqlite):
    """The newest rows are shown whole as long as there is room, and all rows are there."""
    put(sqlite, *rows_of(200, inputs=encode({"x": np.full(4096, 0.12345678, np.float32)}, whole=True)))
    answer = make_guarded(sqlite).get(f"{RULE}?n=500", headers=keys["boss"])
    kinds = [type(row["inputs"]["x"]) for row in answer.json["rows"]]
    assert len(kinds) == 200
    assert kinds == sorted(kinds, key=lambda kind: kind is dict)
    assert 20 <= kinds.count(list) <= 25
    assert len(answer.data) < 2_000_000


class TestReader:
    """The reader by itself: its sink, its thread and its end."""

    def read(self, loop, reader, budget_s=10.0, made=lambda row: (row.request_id, threading.current_thread().name), newest=9):
        return loop.run(reader.newest(Filter(newest=newest), Deadline.after(budget_s), made))

    @pytest.fixture
    def loop(self):
        with asyncio.Runner() as runner:
            yield runner

    def test_opens_its_sink_with_the_first_use_and_reads_in_a_thread_of_its_own(self, loop, tmp_path, sqlite):
        reader = LogReader(sqlite)
        assert not (tmp_path / "log.db").exists()
        with pytest.raises(Unavailable, match="there is no such file"):
            self.read(loop, reader)
        put(sqlite, *rows_of(2))
        found = self.read(loop, reader)
        assert [one for one, _ in found] == ["r2", "r1"]
        assert {name.partition("_")[0] for _, name in found} == {"log-reader"}
        loop.run(reader.close())
        assert not any(thread.name.startswith("log-reader") for thread in threading.enumerate())

    def test_ends_without_having_been_used(self, loop, sqlite):
        loop.run(LogReader(sqlite).close())

    def test_one_that_waits_too_long_is_given_up_and_the_others_still_have_their_turn(self, loop, sqlite):
        put(sqlite, *rows_of(1))
        reader, entered, go_on, read = LogReader(sqlite), threading.Event(), threading.Event(), []

        def slow(row):
            entered.set()
            assert go_on.wait(30)
            return "slow"

        def quick(row):
            read.append(threading.current_thread().name)
            return "quick"

        async def three():
            first = asyncio.create_task(reader.newest(Filter(newest=1), Deadline.after(30), slow))
            await asyncio.to_thread(entered.wait, 30)
            with pytest.raises(DeadlineExceeded, match="the prediction log was not read within"):
                await reader.newest(Filter(newest=1), Deadline.after(0.05), quick)
            last = asyncio.create_task(reader.newest(Filter(newest=1), Deadline.after(30), quick))
            await asyncio.sleep(0)
            assert read == []
            go_on.set()
            return await first, await last

        assert loop.run(three()) == (["slow"], ["quick"])
        assert len(read) == 1
        loop.run(reader.close())

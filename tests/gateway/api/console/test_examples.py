"""The examples that a version brings, at /admin/console/examples/<model>/<version>."""

import json
import os

import pytest

GOOD = [
    {"name": "two rows", "inputs": {"x": [[1.0, 2.0], [3.0, 4.0]]}},
    {"name": "by rows", "signature_name": "serving_default", "instances": [[1.0, 2.0]]},
]


@pytest.fixture
def models(tmp_path):
    """The folder of the model ``m``, in which version 7 has no examples."""
    (tmp_path / "m" / "7" / "assets.extra").mkdir(parents=True)
    return tmp_path / "m"


@pytest.fixture
def config_file(tmp_path, models):
    path = tmp_path / "models.config"
    path.write_text(f'model_config_list {{ config {{ name: "m" base_path: "{models}" model_platform: "tensorflow" }} }}')
    return path


def write(models, content: str | bytes, version: str = "7") -> None:
    path = models / version / "assets.extra" / "examples.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.mark.parametrize("name", ["m", "a/b", "a%2Fb"])
def test_the_file_is_answered_as_it_is(make_client, fake, config_file, models, name):
    fake.models["a/b"] = fake.models["m"]
    config_file.write_text(config_file.read_text().replace('"m"', f'"{name.replace("%2F", "/")}"'))
    write(models, text := json.dumps(GOOD, indent=1) + "\n")
    answer = make_client(model_config_file=config_file).get(f"/admin/console/examples/{name}/7")
    assert (answer.status_code, answer.text, answer.content_type) == (200, text, "application/json")


def test_the_folder_of_a_version_may_begin_with_zeros(client, models):
    write(models, json.dumps(GOOD), "0000000123")
    assert client.get("/admin/console/examples/m/123").json == GOOD


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "'m' version 7 has no assets.extra/examples.json"),
        ("{", "not a JSON list of"),
        ('{"name": "a", "inputs": 1}', "not a JSON list of"),
        ('[{"inputs": 1}]', "not a JSON list of"),
        ('[{"name": "a"}]', "not a JSON list of"),
        ('[{"name": "a", "inputs": 1, "instances": 1}]', "not a JSON list of"),
        ('[{"name": "a", "inputs": 1, "signature_name": 2}]', "not a JSON list of"),
        ("[" * 100_000, "not a JSON list of"),
        (b"\xff\xfe\xff", "not a JSON list of"),
        (" " * 1_000_001, "has more than 1,000,000 bytes"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_list_of_examples_is_refused_with_the_reason(client, models, content, reason):
    if content is not None:
        write(models, content)
    answer = client.get("/admin/console/examples/m/7")
    assert answer.status_code == 404
    assert reason in answer.json["message"]


def test_as_many_bytes_as_there_may_be_are_read(client, models):
    write(models, json.dumps(GOOD).ljust(1_000_000))
    assert client.get("/admin/console/examples/m/7").json == GOOD


def test_a_pipe_is_not_waited_for(client, models):
    os.mkfifo(models / "7" / "assets.extra" / "examples.json")
    answer = client.get("/admin/console/examples/m/7")
    assert answer.status_code == 404
    assert "not a regular file" in answer.json["message"]


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("m/8", "the gateway sees no folder of 'm' version 8"),
        ("m/seven", "a version is a whole number"),
        ("m/-7", "a version is a whole number"),
        ("m/²", "a version is a whole number"),
        ("m/" + "9" * 20, "a version is a whole number"),
        ("nobody/7", "no base_path of a model 'nobody'"),
        ("../m/7", "no base_path of a model '../m'"),
    ],
)
def test_what_is_not_there_is_told(client, models, place, reason):
    write(models, json.dumps(GOOD))
    answer = client.get(f"/admin/console/examples/{place}")
    assert answer.status_code == 404
    assert reason in answer.json["message"]


def test_a_folder_that_is_on_another_machine_is_told(make_client, tmp_path):
    path = tmp_path / "elsewhere.config"
    path.write_text('model_config_list { config { name: "m" base_path: "/not/here" } }')
    answer = make_client(model_config_file=path).get("/admin/console/examples/m/7")
    assert answer.status_code == 404
    assert "cannot read the folder of the model 'm' version 7: No such file or directory" in answer.json["message"]


def test_without_a_model_config_file_the_setting_is_named(make_client):
    answer = make_client().get("/admin/console/examples/m/7")
    assert answer.status_code == 404
    assert "GATEWAY_MODEL_CONFIG_FILE is not set" in answer.json["message"]


def test_there_is_no_route_where_the_console_is_off(make_client, config_file, models):
    write(models, json.dumps(GOOD))
    answer = make_client(model_config_file=config_file, console="off").get("/admin/console/examples/m/7")
    assert answer.json["message"] == "there is no route /admin/console/examples/m/7"


def test_a_base_path_that_changes_in_the_config_file_is_followed(client, config_file, models, tmp_path):
    from tests.waiting import wait_for

    write(tmp_path / "moved", json.dumps(GOOD))
    config_file.write_text(config_file.read_text().replace(str(models), str(tmp_path / "moved")))
    wait_for(lambda: client.get("/admin/console/examples/m/7").status_code == 200)

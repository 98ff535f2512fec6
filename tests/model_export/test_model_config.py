"""Whether a published model is on the server's list, and what to add when it is not."""

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from model_export.errors import ExportError
from model_export.model_config import listed_models, missing_entry

LIST = """
# comments stay comments
model_config_list {
  config { name: "digits" base_path: "/models/digits" model_platform: "tensorflow" }
}
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "models.config"
    path.write_text(LIST)
    return path


def test_a_listed_model_needs_no_entry(config):
    assert missing_entry(config, "digits") is None


def test_the_entry_for_another_model_makes_a_list_that_servers_read(config):
    entry = missing_entry(config, "mine")
    config.write_text(LIST.replace("model_config_list {", "model_config_list {\n" + entry))

    assert listed_models(config) == {"digits", "mine"}
    parsed = text_format.Parse(config.read_text(), model_server_config_pb2.ModelServerConfig())
    assert parsed.model_config_list.config[0].base_path == "/models/mine"
    assert parsed.model_config_list.config[0].model_platform == "tensorflow"


@pytest.mark.parametrize("content", [b"model_config_list {", b"no such field: 1", b"\xff"])
def test_a_list_that_cannot_be_read_is_named_in_one_line(config, content):
    config.write_bytes(content)

    with pytest.raises(ExportError, match=r"models\.config cannot be read as a list of models") as refusal:
        missing_entry(config, "mine")
    assert "\n" not in str(refusal.value)

"""The server's list of models (`serving_config/models.config`), read to tell what it says of a published model."""

from pathlib import Path

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from model_export.errors import ExportError, first_line

ENTRY = """\
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
  }}"""


def config_of(config_file: Path) -> model_server_config_pb2.ModelServerConfig:
    """Return what a ModelServerConfig text file says. Raises ExportError when it cannot be read as one."""
    config = model_server_config_pb2.ModelServerConfig()
    try:
        text_format.Parse(config_file.read_text(encoding="utf-8"), config)
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise ExportError(f"{config_file} cannot be read as a list of models: {first_line(error)}") from error
    return config


def listed_models(config_file: Path) -> set[str]:
    """Return the names in a ModelServerConfig text file. Raises ExportError when it cannot be read as one."""
    return {model.name for model in config_of(config_file).model_config_list.config}


def advice(config_file: Path, name: str, lies_in_served_folder: bool) -> str:
    """Return what to do so that servers take the model, or nothing when it is listed. Raises like `listed_models`.

    `make serve` needs no entry: when it starts, it takes whatever lies in its folder.
    """
    entry = missing_entry(config_file, name)
    if not entry:
        return ""
    heading = f"{config_file} does not list {name} yet."
    runner = "To serve it with `make serve`, start that again.\n" if lies_in_served_folder else ""
    return f"\n{heading}\n\n{runner}For docker compose or tensorflow/serving, add inside model_config_list there:\n\n{entry}\n"


def missing_entry(config_file: Path, name: str) -> str | None:
    """Return the lines to add inside `model_config_list` so that servers take the model, or None when it is listed."""
    return None if name in listed_models(config_file) else ENTRY.format(name=name)

"""Which models to serve: the flags or a ModelServerConfig as frozen, validated values.

Validation and its texts follow upstream's server_core.cc. Raised errors are ServingError; nothing here touches disk
but ``from_file``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message
from tensorflow_serving.config import model_server_config_pb2

from model_server.flags import Flags
from model_server.messages import read_text_proto
from model_server.status import invalid_argument

ModelServerConfig: Any = model_server_config_pb2.ModelServerConfig

_PLATFORM = "tensorflow"
_PLATFORM_OF_TYPE = {model_server_config_pb2.TENSORFLOW: _PLATFORM, model_server_config_pb2.OTHER: "other"}


@dataclass(frozen=True)
class VersionPolicy:
    """Which of the versions on disk are wanted: the ``latest`` N, ``all`` of them, or the ``specific`` ones."""

    latest: int = 1
    all: bool = False
    specific: tuple[int, ...] | None = None


@dataclass(frozen=True)
class ModelSettings:
    """One model: where its versions lie, which are wanted, and what they are also called."""

    name: str
    base_path: str
    platform: str = _PLATFORM
    policy: VersionPolicy = VersionPolicy()
    labels: Mapping[str, int] = field(default_factory=dict)
    wants_logging: bool = False


Models = Mapping[str, ModelSettings]


def from_flags(flags: Flags) -> Models:
    """The models named on the command line: those of ``--model_config_file``, which wins, or the single one."""
    if flags.model_config_file:
        return from_file(flags.model_config_file)
    if not flags.model_base_path:
        raise invalid_argument(
            "Both server_options.model_base_path and server_options.model_config_file are empty!"
            " (give --model_base_path or --model_config_file)"
        )
    return _validated([ModelSettings(flags.model_name, flags.model_base_path)])


def from_file(path: str) -> Models:
    """The models of a ModelServerConfig in text format."""
    return from_proto(read_text_proto(path, ModelServerConfig(), "model_config_file"))


def from_proto(config: Message) -> Models:
    """The models of a ModelServerConfig message; an empty one has none."""
    message: Any = config
    if message.WhichOneof("config") == "custom_model_config":
        raise invalid_argument("ModelServer does not yet support custom model config.")
    return _validated([_settings(model) for model in message.model_config_list.config])


def check_transition(old: Models, new: Models) -> None:
    """Refuse what a running server cannot change about a model it has."""
    for name in old.keys() & new.keys():
        before, after = old[name].platform, new[name].platform
        if before != after:
            raise invalid_argument(
                f"Illegal to change a model's platform. For model {name} platform was {before}"
                f" and new platform requested is {after}"
            )


def check_platforms(models: Models) -> None:
    """Refuse platforms other than TensorFlow."""
    for model in models.values():
        if model.platform != _PLATFORM:
            raise invalid_argument(f"Model {model.name} requests unsupported platform {model.platform}")


def check_reloadable(config: Message) -> None:
    """Refuse what HandleReloadConfigRequest does not take: anything but a model_config_list."""
    message: Any = config
    if message.WhichOneof("config") != "model_config_list":
        raise invalid_argument(
            "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported"
        )


def _validated(models: list[ModelSettings]) -> Models:
    by_name: dict[str, ModelSettings] = {}
    for model in models:
        if model.name in by_name:
            raise invalid_argument(f"Illegal to list model {model.name} multiple times in config list")
        by_name[model.name] = model
        _check_base_path(model)
    return by_name


def _check_base_path(model: ModelSettings) -> None:
    if "://" in model.base_path:
        raise invalid_argument(f"Model {model.name} has base_path {model.base_path}; this server reads local directories only")
    if not model.base_path.startswith("/"):
        raise invalid_argument(
            f"Expected model {model.name} to have an absolute path or URI; got base_path()={model.base_path}"
        )


def _settings(model: Any) -> ModelSettings:
    return ModelSettings(
        name=model.name,
        base_path=model.base_path,
        platform=_platform(model),
        policy=_policy(model.model_version_policy),
        labels=dict(model.version_labels),
        wants_logging=model.HasField("logging_config"),
    )


def _platform(model: Any) -> str:
    if model.model_type and model.model_platform:
        raise invalid_argument(
            f"Model {model.name}: Illegal setting both ModelServerConfig::model_type(deprecated)"
            " and ModelServerConfig::model_platform."
        )
    platform = _PLATFORM_OF_TYPE.get(model.model_type, model.model_platform)
    if not platform:
        raise invalid_argument(
            f"Model {model.name}: Illegal setting neither ModelServerConfig::model_type(deprecated)"
            " nor ModelServerConfig::model_platform."
        )
    return str(platform)


def _policy(policy: Any) -> VersionPolicy:
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return VersionPolicy(all=True)
    if choice == "specific":
        return VersionPolicy(specific=tuple(policy.specific.versions))
    return VersionPolicy(latest=policy.latest.num_versions or 1)

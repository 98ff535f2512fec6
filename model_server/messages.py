"""Protobuf messages that tensorflow_model_server reads and the tensorflow-serving-api wheel lacks, and reading text format.

Field names and numbers are those of upstream's session_bundle_config.proto, monitoring_config.proto and
ssl_config.proto. They live in a package of their own: a wheel that gains them later cannot clash.
"""

from pathlib import Path
from typing import Any, TypeVar

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from google.protobuf.message import Message
from grpc import StatusCode

from model_server.status import ServingError, invalid_argument

_PACKAGE = "serving_gateway.model_server"
_FIELD = descriptor_pb2.FieldDescriptorProto
_M = TypeVar("_M", bound=Message)

_LAYOUT: dict[str, tuple[tuple[str, int, str], ...]] = {
    "BatchingParameters": (
        ("max_batch_size", 1, "Int64Value"),
        ("batch_timeout_micros", 2, "Int64Value"),
        ("max_enqueued_batches", 3, "Int64Value"),
        ("num_batch_threads", 4, "Int64Value"),
        ("thread_pool_name", 5, "StringValue"),
        ("allowed_batch_sizes", 6, "repeated int64"),
        ("pad_variable_length_inputs", 7, "bool"),
        ("enable_large_batch_splitting", 8, "BoolValue"),
        ("max_execution_batch_size", 9, "Int64Value"),
    ),
    "PrometheusConfig": (("enable", 1, "bool"), ("path", 2, "string")),
    "MonitoringConfig": (("prometheus_config", 1, "PrometheusConfig"),),
    "SSLConfig": (
        ("server_key", 1, "string"),
        ("server_cert", 2, "string"),
        ("custom_ca", 3, "string"),
        ("client_verify", 4, "bool"),
    ),
}
_SCALARS = {"bool": _FIELD.TYPE_BOOL, "string": _FIELD.TYPE_STRING, "int64": _FIELD.TYPE_INT64}


def _field(name: str, number: int, kind: str) -> descriptor_pb2.FieldDescriptorProto:
    repeated = kind.startswith("repeated ")
    kind = kind.removeprefix("repeated ")
    made = _FIELD(name=name, number=number, label=_FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL)
    if kind in _SCALARS:
        made.type = _SCALARS[kind]
    else:
        made.type = _FIELD.TYPE_MESSAGE
        made.type_name = f".{_PACKAGE}.{kind}" if kind in _LAYOUT else f".google.protobuf.{kind}"
    return made


def _message_classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="serving_gateway/model_server.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=[wrappers_pb2.DESCRIPTOR.name],
    )
    for name, layout in _LAYOUT.items():
        file.message_type.add(name=name).field.extend(_field(*row) for row in layout)
    pool = descriptor_pool.Default()  # type: ignore[no-untyped-call]
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _LAYOUT}


_CLASSES = _message_classes()
BatchingParameters: Any = _CLASSES["BatchingParameters"]
MonitoringConfig: Any = _CLASSES["MonitoringConfig"]
SSLConfig: Any = _CLASSES["SSLConfig"]


def read_text_proto(path: str, message: _M, flag: str) -> _M:
    """Fill ``message`` from a text-format file and return it.

    Raises ServingError naming ``flag``: NOT_FOUND if the file cannot be read, INVALID_ARGUMENT if it cannot be parsed.
    """
    full_name = message.DESCRIPTOR.full_name.replace(_PACKAGE, "tensorflow.serving")
    try:
        return text_format.Parse(Path(path).read_text(encoding="utf-8"), message)
    except OSError as error:
        code = StatusCode.NOT_FOUND if isinstance(error, FileNotFoundError) else StatusCode.FAILED_PRECONDITION
        raise ServingError(code, f"--{flag}: cannot read '{path}': {error.strerror}") from error
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise invalid_argument(
            f"--{flag}: Invalid protobuf file: '{path}': Error parsing text-format {full_name}: {error}"
        ) from error

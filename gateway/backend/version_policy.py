"""Which versions of one model the model config file asks for, and how that alone is changed in it.

The file is a ``tensorflow.serving.ModelServerConfig`` in text format that people write. Everything in it but the model's
``model_version_policy`` stays as it is, byte for byte: comments, order, other models. Each edit is parsed before it is kept,
and refused if anything else would mean something else.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from google.protobuf import text_format

from gateway import locked_file
from gateway.backend.model_config import ModelConfigError
from gateway.backend.stubs import ModelServerConfig
from gateway.backend.text_format.fields import Field, fields_of

_POLICY: Final = "model_version_policy"
_ODD: Final = "the model config file is written in a way that cannot be edited here"
_PATIENCE_S: Final = 5.0
"""How long another process may hold the file."""

Found = TypeVar("Found")


class NotWritable(Exception):
    """Raised when the file cannot be replaced; the message says why, without its path."""


@dataclass(frozen=True, slots=True)
class VersionPolicy:
    """``source`` is the field as the file has it (empty: there is none, and the latest version is served).

    ``specific`` are the versions that it names, lowest first; None if it does not name any.
    """

    source: str = ""
    specific: tuple[int, ...] | None = None

    @property
    def text(self) -> str:
        """The policy for a person."""
        return " ".join(self.source.split()) or "no model_version_policy: the latest version"


def specific(versions: Sequence[int]) -> str:
    """The policy that asks for exactly ``versions``, as it is written into the file."""
    return f"{_POLICY} {{ specific {{ {' '.join(f'versions: {version}' for version in sorted(versions))} }} }}"


def read(path: Path) -> str:
    """The content of the file. Raises ModelConfigError."""
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise ModelConfigError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ModelConfigError(f"{path}: not UTF-8 text: {error}") from error


def parsed(text: str) -> ModelServerConfig:
    """The message that ``text`` is. Raises ModelConfigError."""
    try:
        return text_format.Parse(text, ModelServerConfig())
    except text_format.ParseError as error:
        raise ModelConfigError(f"no ModelServerConfig in text format: {error}") from error


class Policies:
    """What ``text`` asks for of every model in it, read once: that takes long where there are many models."""

    def __init__(self, text: str) -> None:
        self._by_model: dict[str, list[VersionPolicy]] = {}
        self._problem = ""  # why nothing can be told
        try:
            config = parsed(text)
            for at, fields in enumerate(_entries(text, config)):
                name = config.model_config_list.config[at].name
                self._by_model.setdefault(name, []).append(_policy(text, config, at, fields))
        except ModelConfigError as error:
            self._problem = str(error)

    def of(self, model: str) -> VersionPolicy:
        """What it asks for of ``model``. Raises ModelConfigError, also when the model is not in it."""
        if self._problem:
            raise ModelConfigError(self._problem)
        return _only(self._by_model.get(model, ()), model)


def policy_of(text: str, model: str) -> VersionPolicy:
    """What ``text`` asks for of ``model``. Raises ModelConfigError, also when the model is not in it."""
    return Policies(text).of(model)


def with_versions(text: str, model: str, versions: Sequence[int]) -> str:
    """``text``, in which ``model`` asks for exactly ``versions``. Raises ModelConfigError as ``with_policy``."""
    return with_policy(text, model, specific(versions))


def with_policy(text: str, model: str, source: str) -> str:
    """``text``, in which the policy of ``model`` is ``source`` (empty: none).

    Raises ModelConfigError, also for a label of a version that ``source`` leaves out: the model server refuses that.
    """
    config = parsed(text)
    at = _index(config, model)
    fields = _entries(text, config)[at]
    field = next((field for field in fields if field.name == _POLICY), None)
    if field is not None:
        edited = text[: field.start] + source + text[field.end :] if source else _without(text, field)
    else:
        edited = _inserted(text, fields[-1], source) if source else text
    after = parsed(edited)
    _check(config, at, after, source)
    _check_labels(after, at)
    return edited


def write(path: Path, edit: Callable[[str], str], patience_s: float = _PATIENCE_S) -> bool:
    """Replace the file by what ``edit`` makes of its text, as one step. Returns whether that is something else.

    A process that does the same waits, at most ``patience_s``. The file's mode and owner stay.

    Raises:
        ModelConfigError: the file cannot be read, or as ``edit`` does; nothing is changed.
        NotWritable: the file cannot be replaced, such as on a read-only mount.
    """
    before = read(path)
    if edit(before) == before:
        return False  # it need not be writable
    changes: list[bool] = []

    def change(content: bytes) -> bytes:
        edited = edit(content.decode("utf-8")).encode()
        changes.append(edited != content)
        return edited

    try:
        locked_file.rewrite(path, change, patience_s)
    except UnicodeDecodeError as error:
        raise ModelConfigError(f"{path}: not UTF-8 text: {error}") from error
    except TimeoutError as error:
        raise NotWritable("another process keeps it locked") from error
    except OSError as error:
        raise NotWritable(_why(error)) from error
    return any(changes)


def _why(error: OSError) -> str:
    said = error.strerror or str(error)
    # The new file keeps the old one's owner, so that a right to write is not enough.
    need = f": user {os.geteuid()} must own it, and be able to write its folder"
    return said + need if isinstance(error, PermissionError) else said


def _index(config: ModelServerConfig, model: str) -> int:
    return _only([at for at, entry in enumerate(config.model_config_list.config) if entry.name == model], model)


def _only(found: Sequence[Found], model: str) -> Found:
    """What was found of ``model``, if that is one."""
    if len(found) != 1:
        raise ModelConfigError(f"model {model} is {'not' if not found else 'more than once'} in the model config file")
    return found[0]


def _entries(text: str, config: ModelServerConfig) -> Sequence[Sequence[Field]]:
    """The fields of each entry, where they are in ``text``: protobuf's own parser keeps the order of entries."""
    try:
        lists = [body for field in fields_of(text) if field.name == "model_config_list" for body in field.bodies]
    except ValueError as error:
        raise ModelConfigError(_ODD) from error
    entries = [body for fields in lists for field in fields if field.name == "config" for body in field.bodies]
    if len(entries) != len(config.model_config_list.config):
        raise ModelConfigError(_ODD)
    return entries


def _policy(text: str, config: ModelServerConfig, at: int, fields: Sequence[Field]) -> VersionPolicy:
    field = next((field for field in fields if field.name == _POLICY), None)
    policy = config.model_config_list.config[at].model_version_policy
    is_specific = policy.WhichOneof("policy_choice") == "specific"
    return VersionPolicy(
        "" if field is None else text[field.start : field.end],
        tuple(sorted(set(policy.specific.versions))) if is_specific else None,
    )


def _inserted(text: str, last: Field, source: str) -> str:
    """``text`` with ``source`` behind the field ``last``: on a line of its own if nothing but a comment follows there."""
    rest, _, _ = text[last.stop :].partition("\n")
    if (rest.strip() and not rest.lstrip().startswith("#")) or last.stop + len(rest) == len(text):
        return f"{text[: last.stop]} {source}{text[last.stop :]}"
    line = text[text.rfind("\n", 0, last.start) + 1 : last.start]
    indent = line[: len(line) - len(line.lstrip())] if line.strip() else line
    end = last.stop + len(rest.rstrip("\r"))
    newline = "\r\n" if rest.endswith("\r") else "\n"
    return f"{text[:end]}{newline}{indent}{source}{text[end:]}"


def _without(text: str, field: Field) -> str:
    """``text`` without ``field``, and without its line if nothing else is on it."""
    before = text[: field.start].rstrip(" \t")
    after = text[field.stop :]
    line_end = after[: len(after) - len(after.lstrip(" \t\r"))]
    if before.endswith("\n") and after[len(line_end) :].startswith("\n"):
        return before[:-1].removesuffix("\r") + after[len(line_end.rstrip("\r")) :]
    return text[: field.start].removesuffix(" ") + after


def _check(before: ModelServerConfig, at: int, after: ModelServerConfig, source: str) -> None:
    """Raise ModelConfigError unless the policy of the entry ``at`` is all that differs."""
    wanted = ModelServerConfig()
    wanted.CopyFrom(before)
    entry = wanted.model_config_list.config[at]
    entry.ClearField(_POLICY)
    text_format.Merge(source, entry)
    if after != wanted:
        raise ModelConfigError(_ODD)


def _check_labels(config: ModelServerConfig, at: int) -> None:
    entry = config.model_config_list.config[at]
    if entry.model_version_policy.WhichOneof("policy_choice") != "specific":
        return
    for label, version in sorted(entry.version_labels.items()):
        if version not in entry.model_version_policy.specific.versions:
            raise ModelConfigError(
                f"the label {label!r} of model {entry.name} names version {version}: move or remove it first"
            )

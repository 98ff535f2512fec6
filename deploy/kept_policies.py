"""The version policies of the run before, which rollouts have written: no restart lets the newest version answer everyone.

The list of models is made anew at each start. Of the list before it, a model's policy is kept, unless the operator has changed
that policy in ``serving_config/models.config`` since: for this the list as it was made is kept too.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from deploy.errors import ServeError
from deploy.model_list import numbers_in, parsed
from gateway.backend.stubs import ModelServerConfig

_AS_MADE = "models.config.as-made"


def write_list(made: ModelServerConfig, path: Path) -> tuple[str, ...]:
    """Write the list of models to ``path`` with the policies that are kept; a line for each one that is kept or dropped.

    Raises ServeError when the list of the run before cannot be read.
    """
    served, told = ModelServerConfig(), []
    served.CopyFrom(made)
    before, as_made = _entries(path), _entries(path.with_name(_AS_MADE))
    for model in served.model_config_list.config:
        was, made_then = before.get(model.name), as_made.get(model.name)
        if was is not None and made_then is not None and was.base_path == model.base_path:
            told += _keep(model, was, made_then)
    # In this order: a start that ends between the two finds the operator's change once more.
    _replace(path, text_format.MessageToString(served))
    _replace(path.with_name(_AS_MADE), text_format.MessageToString(made))
    return tuple(told)


def _entries(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return {model.name: model for model in parsed(path).model_config_list.config}
    except ServeError as error:
        raise ServeError(
            f"{error}; it has the version policies of the run before: mend it, or remove it to start without"
        ) from error


def _keep(model: Any, was: Any, made_then: Any) -> list[str]:
    """Give ``model`` the policy that it had before, if it has to be kept."""
    before, now = was.model_version_policy, model.model_version_policy
    if before in (now, made_then.model_version_policy):
        return []
    text = _one_line(before)
    if now != made_then.model_version_policy:
        return [f"{model.name}: the version policy is that of serving_config/models.config, not {text} of the run before"]
    if before.specific.versions and not set(before.specific.versions) & numbers_in(Path(model.base_path)):
        return [f"{model.name}: the version policy {text} of the run before is dropped, no such version is there"]
    now.CopyFrom(before)
    return [f"{model.name}: the version policy {text} of the run before is kept"]


def _one_line(policy: Any) -> str:
    return text_format.MessageToString(policy, as_one_line=True).strip() or "latest"


def _replace(path: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(path)

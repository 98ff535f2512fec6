"""What the environment of a container asks of the one model in it: its name and folder, and the platform that runs it.

- SageMaker runs ``docker run IMAGE serve`` and puts the model's files into /opt/ml/model.
- Vertex AI sets AIP_* variables; AIP_STORAGE_URI is where the files are, and fetching them is left to the container.
- Everybody else, KServe among them, has them in /mnt/models.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.errors import ServeError
from deploy.stack import port_from

_NAME: Final = re.compile(r"[^\s/:]+")
_SAGEMAKER_FOLDER: Final = "/opt/ml/model"
_FOLDER: Final = "/mnt/models"


@dataclass(frozen=True)
class OneModel:
    """``folder`` is the model's, as the variable and value ``asked_by`` say; ``contract`` is that of the gateway's setting."""

    name: str
    folder: Path
    asked_by: str
    contract: str
    serving_port: int
    predict_model: str

    def server_flags(self, config: Path) -> list[str]:
        """What the model server is started with. Only this container may reach it."""
        flags = ["--host=127.0.0.1", f"--port={self.serving_port}"]
        return [*flags, f"--model_config_file={config}", "--model_config_file_poll_wait_seconds=1"]

    def gateway_environment(self, config: Path) -> dict[str, str]:
        """The gateway's settings besides those of the container."""
        return {
            "GATEWAY_SERVING_TARGET": f"127.0.0.1:{self.serving_port}",
            "GATEWAY_MODEL_CONFIG_FILE": str(config),
            "GATEWAY_PREDICT_MODEL": self.predict_model,
            "GATEWAY_CONTAINER_CONTRACT": self.contract,
        }


def one_model(arguments: Sequence[str], environ: Mapping[str, str]) -> OneModel:
    """What ``arguments`` and ``environ`` ask for. Raises ServeError, which names the variable that is bad."""
    if list(arguments) not in ([], ["serve"]):
        raise ServeError(f"expected no arguments, or serve, as SageMaker has it; got {' '.join(arguments)}")
    name = environ.get("MODEL_NAME") or "model"
    if not _NAME.fullmatch(name):
        raise ServeError(f"MODEL_NAME={name!r}: expected a name without space, slash and colon")
    contract = environ.get("GATEWAY_CONTAINER_CONTRACT") or _contract(arguments, environ)
    variable, folder = _folder(environ, contract)
    return OneModel(
        name=name,
        folder=Path(folder).absolute(),
        asked_by=f"{variable}={folder}",
        contract=contract,
        serving_port=port_from(environ, "SERVING_PORT", 8500),
        predict_model=environ.get("GATEWAY_PREDICT_MODEL") or name,
    )


def _contract(arguments: Sequence[str], environ: Mapping[str, str]) -> str:
    if environ.get("AIP_HTTP_PORT"):
        return "vertex"
    return "sagemaker" if arguments else "off"


def _folder(environ: Mapping[str, str], contract: str) -> tuple[str, str]:
    """The variable that says where the model is, and the folder."""
    if environ.get("AUTO_MODEL"):
        return "AUTO_MODEL", environ["AUTO_MODEL"]
    storage = environ.get("AIP_STORAGE_URI") if contract == "vertex" else None
    if not storage:
        return "AUTO_MODEL", _SAGEMAKER_FOLDER if contract == "sagemaker" else _FOLDER
    if "://" in storage:
        raise ServeError(
            f"AIP_STORAGE_URI={storage}: nothing in this image can fetch a bucket: upload the model without an artifact "
            f"URI, from an image that has the SavedModel in {_FOLDER} (FROM this one, COPY), or set AUTO_MODEL to its folder"
        )
    return "AIP_STORAGE_URI", storage

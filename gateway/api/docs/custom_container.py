"""The routes of a platform's contract in the OpenAPI document: the operations whose handlers they have, under their paths."""

import copy
from typing import Final

from gateway.api.custom_container.attributes import FIELD
from gateway.api.docs.json_schema import Json
from gateway.container_contract import ContainerContract

_NAMES: Final = {"sagemaker": "Amazon SageMaker", "vertex": "Vertex AI"}
_HEALTH: Final = "/readyz"
_PREDICT: Final = "/v1/models/{model}:predict"
_ATTRIBUTES: Final[Json] = {
    "name": FIELD,
    "in": "header",
    "description": "`tfs-model-name`, `tfs-model-version` and `tfs-method` (predict, classify, regress), with commas between.",
    "schema": {"type": "string"},
    "example": "tfs-method=predict",
}


def add_contract(document: Json, contract: ContainerContract) -> None:
    """Add the routes of ``contract`` to ``document``, whose other operations are complete, in place of those of its paths."""
    paths, platform = document["paths"], _NAMES[contract.platform]
    tag = f"Container of {platform}"
    health, predict = copy.deepcopy(paths[_HEALTH]["get"]), copy.deepcopy(paths[_PREDICT]["post"])
    health |= {"operationId": "containerHealth", "tags": [tag], "summary": f"Whether every model answers, as {_HEALTH}"}
    predict |= {
        "operationId": "containerPredict",
        "tags": [tag],
        "summary": "Predict with the only model, or that of GATEWAY_PREDICT_MODEL, as TensorFlow Serving's `:predict`",
    }
    if contract.platform == "sagemaker":
        predict["parameters"] = [_ATTRIBUTES]
    for path, method, operation in ((contract.health_route, "get", health), (contract.predict_route, "post", predict)):
        paths[path] = {**paths.get(path, {}), method: operation}
    about = f"The routes that {platform} asks of a container (`GATEWAY_CONTAINER_CONTRACT={contract.platform}`)."
    document["tags"].append({"name": tag, "description": about})

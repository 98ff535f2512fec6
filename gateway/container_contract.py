"""What a platform asks of a container that predicts: the routes and the port, which its own variables say.

Amazon SageMaker ("Custom Inference Code with Hosting Services") has two fixed routes; Vertex AI ("Custom container requirements
for inference") sets three variables in every container. Neither says more about a request than that it is HTTP.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Platform: TypeAlias = Literal["off", "sagemaker", "vertex"]

_SAGEMAKER_PORT: Final = "SAGEMAKER_BIND_TO_PORT"
_VERTEX_PORT: Final = "AIP_HTTP_PORT"
_VERTEX_HEALTH: Final = "AIP_HEALTH_ROUTE"
_VERTEX_PREDICT: Final = "AIP_PREDICT_ROUTE"
_ROUTE: Final = re.compile(r"(/[A-Za-z0-9._~:@!$&'()*+,;=-]+)+")  # no <>, which would be a pattern here


@dataclass(frozen=True, slots=True)
class ContainerContract:
    """The routes that ``platform`` asks, and the port; None: that of GATEWAY_PORT."""

    platform: Platform
    health_route: str
    predict_route: str
    port: int | None = None


def read_contract(platform: str, environ: Mapping[str, str]) -> ContainerContract | None:
    """The contract of ``platform``; None for ``off``. Raises ValueError with one line that names the variable that is bad."""
    if platform == "sagemaker":
        return ContainerContract("sagemaker", "/ping", "/invocations", _port(environ, _SAGEMAKER_PORT))
    if platform == "vertex":
        routes = _route(environ, _VERTEX_HEALTH, "/health"), _route(environ, _VERTEX_PREDICT, "/predict")
        return ContainerContract("vertex", *routes, _port(environ, _VERTEX_PORT))
    return None


def _port(environ: Mapping[str, str], variable: str) -> int | None:
    text = environ.get(variable)
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise ValueError(f"{variable}={text!r}: expected a port from 1 to 65535")
    return int(text)


def _route(environ: Mapping[str, str], variable: str, such_as: str) -> str:
    text = environ.get(variable, "")
    if not _ROUTE.fullmatch(text):
        raise ValueError(
            f"{variable}={text!r}: expected a path such as {such_as}, because GATEWAY_CONTAINER_CONTRACT is vertex; "
            "Vertex AI sets it"
        )
    return text

"""The two routes of a platform's contract. Each has the handler of a route that is there anyway, and nothing of its own.

- Health is answered as GET /readyz: 200 as soon as every model answers, else 503 and the reasons.
- A prediction is answered as POST /v1/models/NAME:predict of TensorFlow Serving, in that dialect's form, refusals included.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final
from urllib.parse import quote

from gateway.api.custom_container.attributes import FIELD, Attributes, read_attributes
from gateway.api.routes import Route
from gateway.api.sight import default_model, visible
from gateway.call import Answer, Call, Handler
from gateway.codec.problems import cut_text
from gateway.container_contract import ContainerContract
from gateway.errors import InvalidArgument, NotFound
from gateway.inference.catalog import Catalog
from gateway.inference.suggestions import listed_names

ANSWERED_AS: Final = "/v1/models"

_LEFT_OUT: Final = ("application/jsonlines", "application/jsons", "text/csv")
"""What SageMaker's own TensorFlow container also takes. /v1 would say that the JSON is damaged."""

_SHOWN: Final = 60


class CustomContainer:
    """The handlers. A request that names no model means ``preferred``, or else the only one of the config file.

    ``health`` answers /readyz, ``tfserving`` any path of TensorFlow Serving's.
    """

    def __init__(
        self, contract: ContainerContract, health: Handler, tfserving: Handler, catalog: Catalog, preferred: str
    ) -> None:
        self._contract = contract
        self._health = health
        self._tfserving = tfserving
        self._catalog = catalog
        self._preferred = preferred

    def mounted_over(self, routes: Iterable[Route]) -> list[Route]:
        """``routes`` with those of the contract, each in place of what has its path and method so far."""
        health, predict = self._contract.health_route, self._contract.predict_route
        own = (
            Route(health, ("GET",), self.health, on_loop=True),
            Route(predict, ("POST",), self.predict, on_loop=True, scope="predict", answered_as=ANSWERED_AS),
        )
        return [*own, *_without(routes, {(route.rule, method) for route in own for method in route.methods})]

    async def health(self, call: Call) -> Answer:
        """Whether the platform should send requests."""
        return await self._health(call)

    async def predict(self, call: Call) -> Answer:
        """The answer of a model."""
        if call.media_type in _LEFT_OUT:
            expected = "application/json, application/x-npy or application/x-npz"
            raise InvalidArgument(f"Content-Type: expected {expected}, got {cut_text(call.media_type, _SHOWN)}")
        is_sagemaker = self._contract.platform == "sagemaker"
        asked = read_attributes(call.headers.get(FIELD.lower(), "")) if is_sagemaker else Attributes()
        model = asked.model or default_model(call, self._catalog, self._preferred)
        if not model:
            raise self._which(call, f"tfs-model-name in {FIELD}, or " if is_sagemaker else "")
        version = f"/versions/{asked.version}" if asked.version else ""
        call.answered_as = f"{ANSWERED_AS}/{quote(model, safe='')}{version}:{asked.method}"
        return await self._tfserving(call)

    def _which(self, call: Call, by_request: str) -> NotFound:
        names = listed_names(model.name for model in visible(call, self._catalog.configured()))
        served = f"; served are: {names}" if names else ""
        return NotFound(f"say which model: {by_request}set GATEWAY_PREDICT_MODEL{served}")


def _without(routes: Iterable[Route], taken: set[tuple[str, str]]) -> Iterator[Route]:
    for route in routes:
        methods = tuple(method for method in route.methods if (route.rule, method) not in taken)
        if methods:
            yield replace(route, methods=methods)

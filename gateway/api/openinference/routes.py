"""/v2/...: the Open Inference Protocol over HTTP, with Triton's binary tensor data and model repository extensions.

Strict: what does not fit the signature is refused before any call. A version in a path is a number, or a label. The request
parameter ``signature_name`` (of a query, for metadata) chooses another signature than serving_default. Models come and go by
the model server's own configuration, so that the repository can be read here and not changed.
"""

import time
from typing import Any, Final
from urllib.parse import parse_qs

from gateway.api import memory
from gateway.api.advice.advisor import Advisor, Refused
from gateway.api.body import Bodies
from gateway.api.errors import json_answer
from gateway.api.memory import Memory
from gateway.api.openinference import advice, form
from gateway.api.openinference.answer import infer_answer
from gateway.api.openinference.request import InferRequest, json_length
from gateway.api.readiness import Readiness
from gateway.api.routes import Route
from gateway.api.sight import require_sight, visible
from gateway.call import Answer, Call
from gateway.codec.datatypes import datatype_of
from gateway.errors import InvalidArgument, NotFound, Unimplemented
from gateway.inference.catalog import Catalog
from gateway.inference.predictor import signature_of
from gateway.inference.predictors import AnyPredictor
from gateway.inference.signature import DEFAULT_SIGNATURE, ModelRef, TensorSpec
from gateway.inference.status import ModelStatus
from gateway.inference.suggestions import refuse_composite

SERVER_NAME: Final = "serving-gateway"
SERVER_VERSION: Final = "0.1.0"
EXTENSIONS: Final = ("binary_tensor_data", "model_repository")

_HEADER_LENGTH: Final = form.HEADER_LENGTH.lower()
_INT64_MAX: Final = 2**63 - 1
_PLATFORM: Final = "tensorflow_savedmodel"
_STATES: Final = {"AVAILABLE": "READY", "START": "LOADING", "LOADING": "LOADING", "UNLOADING": "UNLOADING"}


class OpenInference:
    """The handlers of the protocol. ``name`` and ``version`` are segments of a path; an empty version means the latest."""

    def __init__(
        self, predictor: AnyPredictor, catalog: Catalog, *, bodies: Bodies, memory: Memory, readiness: Readiness
    ) -> None:
        self._predictor = predictor
        self._catalog = catalog
        self._bodies = bodies
        self._memory = memory
        self._readiness = readiness
        self._advisor = Advisor(catalog)

    def routes(self) -> list[Route]:
        """The routes. Probes are answered on the loop, so that they do not wait behind requests for the model server."""
        of_model = [
            Route(f"/v2/models/<name>{version}{rest}", (method,), handler, on_loop, scope)
            for version in ("", "/versions/<version>")
            for method, rest, handler, on_loop, scope in (
                ("GET", "", self.model, False, "metadata"),
                ("GET", "/ready", self.model_ready, False, ""),
                ("POST", "/infer", self.infer, True, "predict"),
            )
        ]
        return [
            Route("/v2", ("GET",), self.server),
            Route("/v2/health/live", ("GET",), self.live, on_loop=True),
            Route("/v2/health/ready", ("GET",), self.ready, on_loop=True),
            *of_model,
            Route("/v2/repository/index", ("POST",), self.repository_index, scope="metadata"),
            Route("/v2/repository/models/<name>/<any(load,unload):action>", ("POST",), self.change_repository, scope="admin"),
        ]

    async def server(self, call: Call) -> Answer:
        """What the server is, and which extensions it has."""
        return json_answer({"name": SERVER_NAME, "version": SERVER_VERSION, "extensions": EXTENSIONS})

    async def live(self, call: Call) -> Answer:
        """Whether the server lives."""
        return json_answer({"live": True})

    async def ready(self, call: Call) -> Answer:
        """Whether every model that must be served is."""
        return _readiness({}, self._readiness.reasons(call.caller.may_see))

    async def model(self, call: Call, name: str, version: str = "") -> Answer:
        """The metadata of a model: its versions, and the tensors of a signature."""
        model = await self._model_ref(call, name, version)
        require_sight(call, model, self._catalog)
        served = await self._catalog.served(model, call.deadline)
        signature = signature_of(served, parse_qs(call.query).get(form.SIGNATURE_NAME, [DEFAULT_SIGNATURE])[0])
        refuse_composite(signature)
        versions = (await self._catalog.status(ModelRef(model.name), call.deadline)).available
        answer = json_answer(
            {
                "name": served.name,
                "versions": [str(version) for version in sorted(versions)],
                "platform": _PLATFORM,
                "inputs": [_tensor(spec) for spec in signature.inputs],
                "outputs": [_tensor(spec) for spec in signature.outputs],
            }
        )
        answer.headers.append(("X-Model-Version", str(served.version)))
        return answer

    async def model_ready(self, call: Call, name: str, version: str = "") -> Answer:
        """Whether a model is served."""
        model = await self._model_ref(call, name, version, is_open=True)
        status = await self._catalog.status(model, call.deadline)
        return _readiness({"name": name}, [] if status.is_ready else list(status.problems))

    async def infer(self, call: Call, name: str, version: str = "") -> Answer:
        """A prediction."""
        started_s = call.parse_started_s = time.monotonic()
        trace = call.begin(name, DEFAULT_SIGNATURE)
        model = await self._model_ref(call, name, version) if version else ModelRef(name)
        sent = await self._bodies.read(call, is_json=False, is_strict=True)
        json_bytes = json_length(call.headers.get(_HEADER_LENGTH), len(sent))
        size = len(sent) if json_bytes is None else json_bytes
        if size > memory.SMALL_BYTES:
            await self._memory.hold(call, size)
        try:
            request = await self._memory.run(size, InferRequest, sent, json_bytes)
        except InvalidArgument as error:
            raise await advice.unread_request(self._advisor, Refused(call, error, model), sent) from None
        trace.signature = request.signature
        call.parse_s = time.monotonic() - started_s
        try:
            wanted = tuple(dict.fromkeys([output.name for output in request.outputs]))
            build = self._memory.running(len(sent), request.tensors)
            prediction = await self._predictor.predict(model, trace, build, call.deadline, wanted)
            return await self._memory.run(memory.tensor_bytes(prediction.outputs), infer_answer, request, prediction)
        except (InvalidArgument, Unimplemented) as error:
            if trace.version is None:
                raise  # what the catalog refuses says already what there is instead
            raise await advice.unfit_request(
                self._advisor, Refused(call, error, ModelRef(name, trace.version)), trace, request.document, sent
            ) from None

    async def repository_index(self, call: Call) -> Answer:
        """The models and versions that are known; only those that are ready, if the body asks for that."""
        entries = [entry for status in visible(call, self._catalog.models()) for entry in _index_entries(status)]
        is_ready_only = form.wants_only_ready(await self._bodies.read(call, is_strict=True))
        return json_answer([entry for entry in entries if entry["state"] == "READY"] if is_ready_only else entries)

    async def change_repository(self, call: Call, name: str, action: str) -> Answer:
        """Refuses to load or unload a model."""
        how = "a model by its entry in models.config, a version by its folder"
        raise Unimplemented(f"{action} of {name}: the model server itself takes up and drops what it serves, {how}")

    async def _model_ref(self, call: Call, name: str, version: str, *, is_open: bool = False) -> ModelRef:
        """The model that a path names. Raises NotFound for a version that cannot be, or a label that there is not.

        ``is_open``: also for a caller that may not know of the model.
        """
        if not version:
            return ModelRef(name)
        if not (version.isascii() and version.isdigit()):
            model = ModelRef(name, label=version)
            try:
                if not is_open:
                    require_sight(call, model, self._catalog)
                await self._catalog.served(model, call.deadline)
            except InvalidArgument as error:
                missing = NotFound(f"{name} has no version or label {version}: {error.message}")
                missing.unknown_model = error.unknown_model
                raise missing from error
            return model
        significant = version.lstrip("0") or "0"
        if len(significant) > 19 or int(significant) > _INT64_MAX:
            raise NotFound(f"no version of {name} has a number beyond {_INT64_MAX}")
        return ModelRef(name, int(significant))


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    # The protocol has no way to say that the rank is free.
    shape = (None,) if spec.shape is None else spec.shape
    sizes = [-1 if size is None else size for size in shape]
    return {"name": spec.name, "datatype": datatype_of(spec.dtype), "shape": sizes}


def _index_entries(model: ModelStatus) -> list[dict[str, str]]:
    if not model.versions:
        return [{"name": model.name, "state": "UNAVAILABLE", "reason": "; ".join(model.problems)}]
    return [
        {
            "name": model.name,
            "version": str(version.version),
            "state": _STATES.get(version.state, "UNAVAILABLE"),
            "reason": f"{version.error_code}: {version.error_message}" if version.has_failed else "",
        }
        for version in model.versions
    ]


def _readiness(names: dict[str, str], reasons: list[str]) -> Answer:
    if not reasons:
        return json_answer(names | {"ready": True})
    return json_answer(names | {"ready": False, "error": "; ".join(reasons)}, 503)

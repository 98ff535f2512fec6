"""/v1/...: TensorFlow Serving's REST dialect. A client of its REST port changes the address and nothing else.

The dialect never refuses what TensorFlow Serving would answer: it checks names, dtypes and ragged lists in the same way, and
forwards a shape that does not fit the declaration. If the model then refuses, the answer also says what the signature expected.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias, TypeVar

from gateway.api import arrays, memory
from gateway.api.advice.advisor import Advisor, Refused
from gateway.api.body import Bodies
from gateway.api.errors import JSON, json_answer
from gateway.api.json_body import Form, JsonBody, Known, Naming
from gateway.api.memory import Memory
from gateway.api.readiness import readiness_entry
from gateway.api.routes import Route
from gateway.api.sight import require_sight, visible
from gateway.api.tfserving import advice, body, cors, typed_body
from gateway.api.tfserving.advice import ExampleVerb
from gateway.api.tfserving.answer import classify_answer, predict_answer, regress_answer
from gateway.api.tfserving.body import PredictBody, PredictDocument
from gateway.api.tfserving.examples import load_examples
from gateway.api.tfserving.path import ModelPath, malformed_request, parse_path
from gateway.call import Answer, Call
from gateway.codec.json_output import NonFinite
from gateway.codec.json_text import parse_json
from gateway.deadline import Deadline
from gateway.errors import InvalidArgument, OutOfRange, Unimplemented
from gateway.inference.catalog import Catalog
from gateway.inference.examples import Examples
from gateway.inference.predictors import AnyExamplePredictor, AnyPredictor, BuildInputs
from gateway.inference.signature import DEFAULT_SIGNATURE, ModelRef, ServedModel, Signature, Tensors
from gateway.inference.status import ModelStatus
from gateway.telemetry.trace import Trace

Found = TypeVar("Found")

WhyNotJoined: TypeAlias = Callable[[ServedModel, Signature], str | None]
"""Says why requests for a signature of a version are never joined into batches; None when they are or may be."""

_NAMING: Final = Naming(body.names_signature, body.signature_name)

FORM: Final = Form(
    typed_body.predict_body_decoder, body.accept_predict_body, body.load_predict_body, raw_strings=True, naming=_NAMING
)
_JSON_HEADER: Final = ("Content-Type", JSON)


class TfServing:
    """The handlers of the dialect. ``dispatch`` is that of all its routes, which answers even a wrong method in its own way."""

    def __init__(
        self,
        predictor: AnyPredictor,
        examples: AnyExamplePredictor,
        catalog: Catalog,
        *,
        bodies: Bodies,
        memory: Memory,
        why_not_joined: WhyNotJoined,
        non_finite: NonFinite,
    ) -> None:
        self._predictor = predictor
        self._examples = examples
        self._catalog = catalog
        self._bodies = bodies
        self._memory = memory
        self._why_not_joined = why_not_joined
        self._non_finite: NonFinite = non_finite
        self._known = Known(FORM)
        self._advisor = Advisor(catalog)

    def routes(self) -> list[Route]:
        """The routes. One handler takes all paths: this dialect answers even a wrong method in its own way."""
        others = tuple(method for method in cors.METHODS if method not in ("POST", "OPTIONS"))
        return [
            Route(rule, methods, self.dispatch, on_loop, scope)
            for rule in ("/v1/<path:rest>", "/V1/<path:rest>")
            for methods, on_loop, scope in (
                (("POST",), True, "predict"),
                (others, False, "metadata"),
                (("OPTIONS",), False, ""),
            )
        ]

    async def dispatch(self, call: Call, rest: str = "") -> Answer:
        """The answer to any call whose path begins with /v1/. What is behind that, ``rest``, is read from the path itself."""
        if call.method != "POST":
            answer = cors.preflight_answer(call)
            if answer is not None:
                return answer
        target = parse_path(call.method, call.dialect_path)
        match target.verb:
            case "predict":
                return await self._predict(call, target.model)
            case "classify":
                classes = await self._examined(call, target.model, "classify", self._examples.classify)
                return _json(classify_answer(classes, self._non_finite))
            case "regress":
                values = await self._examined(call, target.model, "regress", self._examples.regress)
                return _json(regress_answer(values, self._non_finite))
            case "":
                return await self._look_up(call, target)
        # Upstream's pattern takes :PREDICT, its handler does not.
        raise malformed_request(call.method, call.dialect_path)

    async def _predict(self, call: Call, model: ModelRef) -> Answer:
        started_s = call.parse_started_s = time.monotonic()
        trace = call.begin(model.name, DEFAULT_SIGNATURE)
        received = await arrays.received_arrays(call, self._bodies, is_example=False)
        if received is not None:
            document = PredictDocument(lambda signature: PredictBody(row=False, tensors=dict(received.load(signature))))
            return await self._answered(call, model, trace, document, received.building(document.build), sent=None)
        data = await self._bodies.read(call)
        try:
            sent = await self._memory.run(len(data), JsonBody, self._known, model, data)
        except InvalidArgument as error:
            raise await advice.predict_unread(self._advisor, Refused(call, error, model), data) from None
        trace.signature = sent.signature
        call.parse_s = time.monotonic() - started_s
        document = PredictDocument(sent.load)
        build = self._memory.running(len(sent.data), document.build)
        return await self._answered(call, model, trace, document, build, sent=sent)

    async def _answered(
        self,
        call: Call,
        model: ModelRef,
        trace: Trace,
        document: PredictDocument,
        build: BuildInputs,
        *,
        sent: JsonBody[PredictBody] | None,
    ) -> Answer:
        """``build`` makes the tensors of ``document``. ``sent``: its JSON; None: it is arrays."""
        try:
            prediction = await self._predictor.predict(model, trace, build, call.deadline)
        except (InvalidArgument, Unimplemented) as error:
            raise await advice.predict_unfit(self._advisor, Refused(call, error, model), trace, document, sent) from None
        outputs, is_row = prediction.outputs, document.is_row
        try:
            return await self._memory.run(memory.tensor_bytes(outputs), self._dump, call, outputs, is_row)
        except (InvalidArgument, OutOfRange) as error:
            by_version = ModelRef(model.name, prediction.version)
            raise await advice.predict_unanswered(
                self._advisor, Refused(call, error, by_version), trace.signature, outputs, is_row=is_row
            ) from None

    def _dump(self, call: Call, outputs: Tensors, is_row: bool) -> Answer:
        return arrays.arrays_answer(call, outputs) or _json(predict_answer(outputs, is_row, self._non_finite))

    async def _examined(
        self,
        call: Call,
        model: ModelRef,
        verb: ExampleVerb,
        ask: Callable[[ModelRef, Trace, Examples, Deadline], Awaitable[Found]],
    ) -> Found:
        """What ``ask`` answers to the examples of the body of ``call``."""
        trace = call.begin(model.name, DEFAULT_SIGNATURE)
        examples = await self._read_examples(call, model, verb, trace)
        try:
            return await ask(model, trace, examples, call.deadline)
        except InvalidArgument as error:
            if trace.version is None:
                raise
            answering = ModelRef(model.name, trace.version)
            raise await advice.examples_unfit(self._advisor, Refused(call, error, answering), verb) from None

    async def _read_examples(self, call: Call, model: ModelRef, verb: ExampleVerb, trace: Trace) -> Examples:
        """The examples of a body, an object that names a signature or none."""
        started_s = call.parse_started_s = time.monotonic()
        data, document = await self._bodies.read(call), None
        try:
            document = await self._memory.run(len(data), parse_json, data, raw_strings=True)
            trace.signature = body.signature_name(document)
            examples = await self._memory.run(len(data), load_examples, document)
        except InvalidArgument as error:
            raise await advice.examples_misread(
                self._advisor, Refused(call, error, model), verb, data, document=document
            ) from None
        call.parse_s = time.monotonic() - started_s
        return examples

    async def _look_up(self, call: Call, target: ModelPath) -> Answer:
        if not target.model.name:
            return json_answer({"models": [self._listed(model) for model in visible(call, self._catalog.models())]})
        is_status = target.subresource != "metadata"
        require_sight(call, target.model, self._catalog, is_status=is_status)
        if not is_status:
            document = await self._catalog.metadata(target.model, call.deadline)
            answer = json_answer(document)
            answer.headers.append(("X-Model-Version", document["model_spec"]["version"]))
            return answer
        # Upstream's pattern takes /METADATA, its handler takes that for no subresource.
        return _status(await self._catalog.status(target.model, call.deadline))

    def _listed(self, model: ModelStatus) -> dict[str, object]:
        reasons = [
            f"version {served.version}, signature {signature.name}: {why}"
            for served in self._catalog.known(model.name)
            for signature in served.called_signatures
            if (why := self._why_not_joined(served, signature)) is not None
        ]
        return readiness_entry(model) | {"not_joined": reasons}


def _status(status: ModelStatus) -> Answer:
    entries: list[dict[str, Any]] = [
        {
            "version": str(version.version),
            "state": version.state,
            "status": {"error_code": version.error_code, "error_message": version.error_message},
        }
        for version in status.versions
    ]
    return json_answer({"model_version_status": entries})


def _json(body: bytes) -> Answer:
    return Answer(200, body, (_JSON_HEADER,))

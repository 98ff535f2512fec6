"""create_app(): builds the application from its parts. The only module that knows them all."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from flask import Flask

from gateway import settings as gateway_settings
from gateway.access.limits.addresses import Network, scheme_of
from gateway.access.limits.table import LimitTable
from gateway.api.admin.keys import Keys as AdminKeys
from gateway.api.admin.log import Log as AdminLog
from gateway.api.admin.rollouts import Rollouts as AdminRollouts
from gateway.api.admin.settings import Settings as AdminSettings
from gateway.api.body import Bodies
from gateway.api.custom_container.routes import CustomContainer
from gateway.api.docs.openapi import Limits
from gateway.api.docs.routes import Docs
from gateway.api.edge import Edge
from gateway.api.feedback import Feedback
from gateway.api.memory import Memory
from gateway.api.openinference.routes import SERVER_VERSION, OpenInference
from gateway.api.ops import Ops
from gateway.api.origins import Origins
from gateway.api.readiness import Readiness
from gateway.api.routes import Room, Route, Routes, Run
from gateway.api.simple.routes import Simple
from gateway.api.tfserving import cors
from gateway.api.tfserving.routes import TfServing
from gateway.backend.catalog import Catalog
from gateway.backend.client import BackendClient
from gateway.backend.examples import example_tensors
from gateway.backend.model_config import ModelConfigFile
from gateway.backend.servers.balanced import Balanced
from gateway.backend.servers.each import Each
from gateway.backend.servers.servers import Servers
from gateway.backend.servers.target import Target, parse_target
from gateway.call import Answer, Call
from gateway.inference.batching.batcher import Batcher
from gateway.inference.batching.limits import BatchLimits
from gateway.inference.batching.records import Records
from gateway.inference.batching.verdict_file import VerdictFile
from gateway.inference.caching.cache import PredictionCache
from gateway.inference.caching.store import CacheLimits, CacheStore
from gateway.inference.call_limit import CallLimit
from gateway.inference.example_predictor import ExamplePredictor
from gateway.inference.example_rows import ExampleRows
from gateway.inference.predictor import Predictor
from gateway.inference.signature import ServedModel, Signature
from gateway.loop_thread import LoopThread
from gateway.parts.access import Access, check_access, managed_keys
from gateway.parts.console import console
from gateway.parts.figures import RecentFigures
from gateway.parts.prediction_log import log_reader, prediction_log
from gateway.parts.rollouts import RunningRollouts, Way, check_rollouts
from gateway.parts.rollouts import store as rollout_store
from gateway.parts.serving_tls import check_serving_tls
from gateway.parts.traces import check_traces, exemplars, tracer
from gateway.prediction_log.requests import offer_request
from gateway.prediction_log.running import RunningLog
from gateway.server.front import Front
from gateway.settings import Settings
from gateway.shown_settings import shown_settings
from gateway.telemetry import logs, metrics
from gateway.telemetry.exposition import Exposition
from gateway.telemetry.logs import logger
from gateway.tracing.tracer import Tracer

log = logger("gateway")

# In the folder that the workers share.
_VERDICTS = "batch_verdicts.jsonl"

_LOOP, _GATEWAY = "gateway.loop", "gateway"  # extensions of the Flask application


def create_app(settings: Settings | None = None) -> Flask:
    """The gateway as a WSGI application, for any server.

    Without ``settings`` it reads the environment, and writes its log as ``python -m gateway`` does: JSON lines on stderr.
    Its event loop, with the connection to the model server, starts with the first request of a process.

    Raises:
        SettingsError: the environment does not make valid settings, or a file or address that they name is none.
        ModelConfigError: the model config file cannot be read.
    """
    if settings is None:
        settings = gateway_settings.settings_from_environment(os.environ)
        logs.configure(settings.log_level)
    check_access(settings)
    check_serving_tls(settings)
    check_traces(settings)
    check_rollouts(settings)
    gateway = Gateway(settings)
    loop = LoopThread(gateway.start, gateway.close)
    app = gateway.flask(loop.run)
    app.extensions |= {_LOOP: loop, _GATEWAY: gateway}
    return app


def close(app: Flask) -> None:
    """End the event loop of an app that ``create_app`` made."""
    app.extensions[_LOOP].close()


class Gateway:
    """The parts of one process, which live on one event loop.

    ``is_draining`` says whether this process has been told to stop; in ``metrics_dir`` several workers share their metrics and
    their verdicts on batches, in ``limit_table`` what their callers may still ask for. ``client`` calls the only model server;
    without one the servers are those of the settings, and so are ``traces``.
    """

    def __init__(
        self,
        settings: Settings,
        is_draining: Callable[[], bool] = lambda: False,
        metrics_dir: str | None = None,
        client: BackendClient | None = None,
        limit_table: LimitTable | None = None,
        *,
        traces: Tracer | None = None,
    ) -> None:
        metrics.note_build(SERVER_VERSION)
        self.memory = Memory(settings.max_body_bytes)
        self._servers = servers = _servers(settings, client)
        balanced = Balanced(servers)
        self._records = records = Records(
            settings.batch_proofs, VerdictFile(Path(metrics_dir) / _VERDICTS) if metrics_dir else None
        )
        limited = CallLimit(balanced, settings.model_max_in_flight)
        example_rows = ExampleRows(limited, records)
        model_config = _model_config(settings)
        self._catalog = catalog = Catalog(
            balanced, model_config, settings.catalog_poll_ms / 1000, (records.forget, example_rows.forget)
        )
        self._batcher = batcher = _batcher(limited, settings, records)
        way = Way(
            Predictor(catalog, batcher or limited, _cache(settings, records)),
            ExamplePredictor(catalog, limited, example_tensors),
            catalog=catalog,
            backend=batcher or limited,
            example_backend=limited,
            servers=Each(servers),
        )
        plans = rollout_store(settings)
        self._rollouts = rollouts = None if plans is None else RunningRollouts(settings, plans, way)
        predictor, examples = (way.predictor, way.examples) if rollouts is None else (rollouts.predictor, rollouts.examples)
        why_not_joined = batcher.why_not_joined if batcher else _batching_is_off
        shown = exemplars(settings, metrics_dir)
        exposition = Exposition(metrics_dir, shown)
        unknown_plans = (lambda: "") if rollouts is None else rollouts.problem
        readiness = Readiness(catalog, exposition.models_not_ready, is_draining, unknown_plans)
        bodies = Bodies(self.memory, settings.max_body_bytes)
        tfserving = TfServing(
            predictor,
            examples,
            catalog,
            bodies=bodies,
            memory=self.memory,
            why_not_joined=why_not_joined,
            non_finite=settings.non_finite,
        )
        simple = Simple(
            predictor, example_rows, catalog, bodies=bodies, memory=self.memory, default_model=settings.predict_model
        )
        openinference = OpenInference(predictor, catalog, bodies=bodies, memory=self.memory, readiness=readiness)
        limits = Limits(
            settings.max_body_bytes,
            settings.predict_timeout_ms / 1000,
            settings.non_finite,
            needs_key=settings.keys_file is not None,
            metrics_need_key=settings.metrics_key == "on",
            contract=settings.contract,
        )
        docs = Docs(catalog, settings.predict_model, limits, why_not_joined, has_console=settings.console == "on")
        predictions = prediction_log(settings)
        self._log = None if predictions is None else RunningLog(predictions)
        self._traces = traces or tracer(settings, shown)
        self.edge = Edge(
            settings.predict_timeout_ms / 1000,
            cors.HEADERS if settings.tfserving_cors == "on" else (),
            offer=None if predictions is None else partial(offer_request, predictions),
            origins=Origins(settings.cors_origins) if settings.cors_origins else None,
            scheme_of=partial(_scheme_of, settings.trusted_proxies) if settings.trusted_proxies else None,
            tracer=self._traces,
            probes=() if settings.contract is None else (settings.contract.health_route,),
        )
        ops = Ops(catalog, readiness, self.edge.metrics, exposition)
        has_keys = settings.keys_file is not None

        def models() -> set[str]:
            return {model.name for model in catalog.models()}

        pin = None if rollouts is None else rollouts.pin
        self._log_reader = reader = log_reader(settings)
        admin = (
            AdminRollouts(plans, pin, models, bodies, has_keys=has_keys),
            AdminKeys(managed_keys(settings), bodies),
            AdminLog(reader, models, has_keys=has_keys),
            AdminSettings(SERVER_VERSION, [row.as_json() for row in shown_settings(settings)]),
        )
        plan_of = (lambda model: None) if rollouts is None else rollouts.plan_of
        plan_ids: Callable[[], Mapping[str, str]] = dict if rollouts is None else rollouts.plan_ids
        self._figures = figures = None if settings.console == "off" else RecentFigures(metrics_dir, catalog.models, plan_ids)
        pages = (
            []
            if figures is None
            else console(settings, catalog, why_not_joined, plan_of, figures=figures, config_file=model_config)
        )
        rooms: tuple[Room, ...] = (
            tfserving,
            simple,
            openinference,
            docs,
            ops,
            Feedback(predictions, bodies, self.memory),
            *admin,
            *pages,
        )
        table = [route for room in rooms for route in room.routes()]
        if settings.contract is not None:
            container = CustomContainer(settings.contract, ops.readyz, tfserving.dispatch, catalog, settings.predict_model)
            table = container.mounted_over(table)
        self._access = (
            Access(settings, limit_table, self.edge.metrics.add_key_check)
            if settings.keys_file or settings.address_limits
            else None
        )
        if self._access is not None:
            table = [self._access.guarded(route) for route in table]
        # What no rule of Flask's takes, such as an unknown method, is no prediction.
        others = Route("", (), tfserving.dispatch, scope="metadata")
        others = others if self._access is None else self._access.guarded(others)
        self.routes = Routes(table, self.edge, others.handler, settings.max_body_bytes)

    async def start(self) -> None:
        """Connect to the model servers and follow their models, on the event loop that runs here."""
        self._servers.start()
        await self._servers.first_answer()
        self._catalog.start()
        if self._access is not None:
            await self._access.start()
        if self._log is not None:
            self._log.start()
        if self._rollouts is not None:
            await self._rollouts.start()
        if self._traces is not None:
            self._traces.start()
        if self._figures is not None:
            self._figures.start()
        # Else the first clients of a worker would be told that no model is ready, after another worker has said that all are.
        await self._catalog.first_look()

    async def close(self) -> None:
        """Stop following the models, and close the connections."""
        if self._figures is not None:
            await self._figures.close()
        if self._rollouts is not None:
            await self._rollouts.close()
        await self._catalog.close()
        if self._batcher is not None:
            await self._batcher.close()
        await self._servers.close()
        self._records.close()
        self.memory.close()
        self.edge.metrics.close()
        if self._traces is not None:
            await self._traces.close()
        if self._log is not None:
            await self._log.close()
        if self._log_reader is not None:
            await self._log_reader.close()
        if self._access is not None:
            await self._access.close()
        logs.flush()

    def flask(self, run: Run) -> Flask:
        """All routes as a Flask application, whose views ``run`` the handlers on the event loop."""
        app = Flask("gateway", static_folder=None)
        # The dialects see the path as it was sent: no redirect to a tidier one.
        app.url_map.merge_slashes = False
        app.url_map.strict_slashes = False
        self.routes.mount(app, run)
        return app


class WorkerParts:
    """The gateway under our own server: the worker's event loop answers predictions and probes, Flask in threads the rest."""

    def __init__(
        self, settings: Settings, metrics_dir: str, limit_table: LimitTable | None, is_draining: Callable[[], bool]
    ) -> None:
        self._gateway = gateway = Gateway(settings, is_draining, metrics_dir, limit_table=limit_table)
        self._front = Front(
            gateway.routes.find, gateway.edge.answer, gateway.flask(self._run), gateway.edge.refuse, settings.max_in_flight
        )
        self.front_answer = self._front.answer
        self.refuse = gateway.edge.refuse

    async def start(self) -> None:
        """Connect to the model server."""
        self._loop = asyncio.get_running_loop()
        await self._gateway.start()

    async def close(self) -> None:
        """End the threads and the connection to the model server."""
        self._front.close()
        await self._gateway.close()

    def _run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _servers(settings: Settings, client: BackendClient | None) -> Servers:
    target = parse_target(settings.serving_target) if client is None else Target(fixed=(settings.serving_target,))
    timeout_s = settings.predict_timeout_ms / 1000
    return Servers(target, settings.serving_tls(), settings.balancing, timeout_s=timeout_s, client=client)


def _batcher(backend: CallLimit, settings: Settings, records: Records) -> Batcher | None:
    if not settings.batch_max_rows:
        return None
    limits = BatchLimits(
        max_rows=settings.batch_max_rows,
        max_in_flight=settings.batch_max_in_flight,
        max_alone=settings.model_max_in_flight,
        max_queued_rows=settings.batch_max_queued_rows,
        sample_every=settings.batch_sample_every,
        never=settings.batch_off,
    )
    return Batcher(backend, limits, records)


def _cache(settings: Settings, records: Records) -> PredictionCache | None:
    if not settings.cache:
        return None
    limits = {model.name: CacheLimits(model.entries, model.seconds) for model in settings.cache}
    cache = PredictionCache(CacheStore(limits, settings.cache_max_bytes), records.trusts, records.take_news)
    records.on_verdict = cache.forget
    return cache


def _scheme_of(proxies: Sequence[Network], call: Call) -> str:
    return scheme_of(call.client, call.scheme, call.headers.get("x-forwarded-proto", ""), proxies)


def _model_config(settings: Settings) -> ModelConfigFile | None:
    return None if settings.model_config_file is None else ModelConfigFile(settings.model_config_file)


def _batching_is_off(served: ServedModel, signature: Signature) -> str:
    return "GATEWAY_BATCH_MAX_ROWS is 0"

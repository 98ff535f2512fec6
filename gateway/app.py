"""create_app(): wires the parts. The only module that knows them all."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from flask import Flask

from gateway.api import body, body_bounds, errors, ops, requests
from gateway.api.application import Application
from gateway.api.docs import routes as docs
from gateway.api.docs.document import Limits
from gateway.api.openinference import routes as openinference
from gateway.api.simple import routes as simple
from gateway.api.tfserving import cors
from gateway.api.tfserving import routes as tfserving
from gateway.backend.catalog import Catalog
from gateway.backend.client import BackendClient
from gateway.backend.model_config import ModelConfigFile
from gateway.inference.batching.batcher import Batcher, BatchLimits
from gateway.inference.batching.record import Records
from gateway.inference.batching.verdict_file import VerdictFile
from gateway.inference.caching.cache import PredictionCache
from gateway.inference.caching.store import CacheLimits, CacheStore
from gateway.inference.example_predictor import ExamplePredictor
from gateway.inference.example_rows import ExampleRows
from gateway.inference.predictor import Predictor
from gateway.inference.signature import ServedModel, Signature
from gateway.settings import Settings
from gateway.telemetry import metrics

# In the folder that the workers share.
_VERDICTS = "batch_verdicts.jsonl"


def create_app(settings: Settings, is_draining: Callable[[], bool] = lambda: False, metrics_dir: str | None = None) -> Flask:
    """The WSGI application. It opens its gRPC channel and starts to follow the server's models, so call it after the fork.

    ``is_draining`` says whether this process has been told to stop; in ``metrics_dir`` several workers share their metrics and
    their verdicts on batches.

    Raises:
        ModelConfigError: the model config file cannot be read.
    """
    client = BackendClient(settings.serving_target)
    records = Records(settings.batch_proofs, VerdictFile(Path(metrics_dir) / _VERDICTS) if metrics_dir else None)
    example_rows = ExampleRows(client, records)
    catalog = Catalog(client, _model_config(settings), settings.catalog_poll_ms / 1000, (records.forget, example_rows.forget))
    batcher = _batcher(client, settings, records)
    cache = _cache(settings, records)
    predictor = Predictor(catalog, batcher or client, cache)
    why_not_joined = batcher.why_not_joined if batcher else _batching_is_off

    app = Application("gateway", static_folder=None)
    # The dialects see the path as it was sent: no redirect to a tidier one.
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    requests.init_app(app, settings.predict_timeout_ms / 1000, settings.max_body_bytes)
    errors.init_app(app)
    body.init_app(app, settings.read_timeout_ms)
    body_bounds.init_app(app, settings.max_body_bytes)
    cors.init_app(app, enabled=settings.tfserving_cors == "on")
    elsewhere = partial(metrics.models_not_ready, metrics_dir)
    why_not_ready = partial(ops.why_not_ready, catalog.required, elsewhere, catalog.is_reachable, is_draining)
    app.register_blueprint(ops.blueprint(catalog.required, why_not_ready, partial(metrics.render, metrics_dir)))
    app.register_blueprint(openinference.blueprint(predictor, catalog, why_not_ready))
    app.register_blueprint(simple.blueprint(predictor, example_rows, catalog, catalog.configured, settings.predict_model))
    examples = ExamplePredictor(catalog, client)
    app.register_blueprint(tfserving.blueprint(predictor, examples, catalog, why_not_joined, settings.non_finite))
    limits = Limits(settings.max_body_bytes, settings.predict_timeout_ms / 1000, settings.non_finite)
    app.register_blueprint(docs.blueprint(catalog, settings.predict_model, limits, why_not_joined))
    app.extensions["gateway.close"] = partial(_close, catalog, client, records)
    catalog.start()
    return app


def close(app: Flask) -> None:
    """Stop following the models and close the channel of an app that ``create_app`` made."""
    app.extensions["gateway.close"]()


def _batcher(client: BackendClient, settings: Settings, records: Records) -> Batcher | None:
    if not settings.batch_max_rows:
        return None
    limits = BatchLimits(
        max_rows=settings.batch_max_rows,
        max_wait_s=settings.batch_max_wait_us / 1e6,
        max_in_flight=settings.batch_max_in_flight,
        max_queued_rows=settings.batch_max_queued_rows,
        sample_every=settings.batch_sample_every,
        never=settings.batch_off,
    )
    return Batcher(client, limits, records)


def _cache(settings: Settings, records: Records) -> PredictionCache | None:
    if not settings.cache:
        return None
    limits = {model.name: CacheLimits(model.entries, model.seconds) for model in settings.cache}
    cache = PredictionCache(CacheStore(limits, settings.cache_max_bytes), records.trusts, records.take_news)
    records.on_verdict = cache.forget
    return cache


def _model_config(settings: Settings) -> ModelConfigFile | None:
    if settings.model_config_file is None:
        return None
    config_file = ModelConfigFile(settings.model_config_file)
    config_file.load()
    return config_file


def _batching_is_off(served: ServedModel, signature: Signature) -> str:
    return "GATEWAY_BATCH_MAX_ROWS is 0"


def _close(catalog: Catalog, client: BackendClient, records: Records) -> None:
    catalog.close()
    client.close()
    records.close()

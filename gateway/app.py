"""create_app(): wires the parts. The only module that knows them all."""

from collections.abc import Callable
from functools import partial

from flask import Flask

from gateway import metrics
from gateway.api import errors, ops, requests, simple, tfserving
from gateway.backend.catalog import Catalog
from gateway.backend.client import BackendClient
from gateway.backend.model_config import ModelConfigFile
from gateway.inference.predictor import Predictor
from gateway.settings import Settings


def create_app(settings: Settings, is_draining: Callable[[], bool] = lambda: False, metrics_dir: str | None = None) -> Flask:
    """The WSGI application. It opens its gRPC channel and starts to follow the server's models, so call it after the fork.

    ``is_draining`` says whether this process has been told to stop; in ``metrics_dir`` several workers share their metrics.

    Raises:
        ModelConfigError: the model config file cannot be read.
    """
    client = BackendClient(settings.serving_target)
    catalog = Catalog(client, _model_config(settings), settings.catalog_poll_ms / 1000)
    predictor = Predictor(catalog, client)

    app = Flask("gateway", static_folder=None)
    # The dialects see the path as it was sent: no redirect to a tidier one.
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    requests.init_app(app, settings.predict_timeout_ms / 1000)
    errors.init_app(app)
    app.register_blueprint(
        ops.blueprint(
            catalog.required,
            partial(metrics.models_not_ready, metrics_dir),
            catalog.is_reachable,
            is_draining,
            partial(metrics.render, metrics_dir),
        )
    )
    app.register_blueprint(simple.blueprint(predictor, catalog.models, settings.predict_model))
    app.register_blueprint(tfserving.blueprint(predictor, catalog))
    app.extensions["gateway.close"] = partial(_close, catalog, client)
    catalog.start()
    return app


def close(app: Flask) -> None:
    """Stop following the models and close the channel of an app that ``create_app`` made."""
    app.extensions["gateway.close"]()


def _model_config(settings: Settings) -> ModelConfigFile | None:
    if settings.model_config_file is None:
        return None
    config_file = ModelConfigFile(settings.model_config_file)
    config_file.load()
    return config_file


def _close(catalog: Catalog, client: BackendClient) -> None:
    catalog.close()
    client.close()

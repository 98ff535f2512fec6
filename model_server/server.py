"""Puts the parts together for one run: from flags to a server that is ready, and back down again."""

import os
import threading
from typing import Any

import structlog

from model_server.batching.runner import Batching
from model_server.batching.scheduler import Scheduler
from model_server.config_poller import ConfigPoller
from model_server.core import Core, CoreSettings
from model_server.flags import Flags
from model_server.loader import Loader
from model_server.network.grpc_server import GrpcServer
from model_server.network.metrics import Metrics
from model_server.network.monitoring import MetricsServer
from model_server.network.services import ModelService, PredictionService
from model_server.plan import Plan
from model_server.requests.predict import PredictSettings
from model_server.session.config import session_config
from model_server.session.first_session import open_quietly
from model_server.versions.harness import LoadSettings

log = structlog.get_logger()


class Server:
    """One model server. ``start`` and ``stop`` are called once each, from one thread."""

    def __init__(self, plan: Plan) -> None:
        flags = plan.flags
        self._plan = plan
        self._stopping = threading.Event()
        self._metrics = Metrics()
        predict_settings = PredictSettings(
            as_content=flags.enable_serialization_as_tensor_content,
            check_method_name=flags.enable_signature_method_name_check,
        )
        self._scheduler = Scheduler(plan.batching.num_batch_threads) if plan.batching else None
        loader = _loader(plan, predict_settings, self._scheduler)
        self._core = Core(loader.load, _core_settings(flags))
        self._grpc = GrpcServer(
            plan.listen,
            PredictionService(self._core, self._metrics, predict_settings, logs_calls=_logs_calls()),
            ModelService(self._core, self._metrics),
        )
        self._poller: ConfigPoller | None = None
        self._http: MetricsServer | None = None

    @property
    def port(self) -> int:
        """The gRPC port; 0 for none."""
        return self._plan.listen.port

    def start(self) -> None:
        """Load, then open the ports. Raises ServingError for a refused configuration or port."""
        flags = self._plan.flags
        self._core.start(self._plan.models, self._stopping.is_set)
        if self._stopping.is_set():
            return
        self._grpc.start()
        if flags.model_config_file and flags.model_config_file_poll_wait_seconds > 0:
            wait_s = flags.model_config_file_poll_wait_seconds
            self._poller = ConfigPoller(flags.model_config_file, wait_s, self._core)
        self._start_monitoring()
        self._log_ready()

    def abandon(self) -> None:
        """Make a ``start`` that waits for models return; may be called from a signal handler."""
        self._stopping.set()

    def stop(self, grace_s: float) -> None:
        """Drain requests, at most ``grace_s`` seconds, and stop everything that runs in the background."""
        self._stopping.set()
        log.info("server.stopping", grace_seconds=grace_s)
        self._grpc.drain(grace_s)
        for part in (self._poller, self._http):
            if part:
                part.stop()

    def close(self) -> None:
        """Free the loaded models; waits for requests that are still inside them."""
        self._core.stop()
        if self._scheduler:
            self._scheduler.stop()

    def _log_ready(self) -> None:
        names = sorted(self._core.models)
        log.info(
            "server.ready",
            port=self._plan.listen.port,
            socket=self._plan.listen.socket_path,
            serving=[name for name in names if self._core.serves(name)],
            not_serving=[name for name in names if not self._core.serves(name)],
        )

    def _start_monitoring(self) -> None:
        monitoring = self._plan.monitoring
        if not monitoring.port:
            return
        if monitoring.path is None:
            log.info("rest.off", port=monitoring.port, why="the REST API is the gateway's, and metrics are not enabled")
        elif monitoring.port == self._plan.flags.port:
            log.error("rest.off", port=monitoring.port, why="--rest_api_port cannot be same as --port")
        else:
            self._http = MetricsServer(monitoring.host, monitoring.port, monitoring.path, self._metrics)


def _logs_calls() -> bool:
    """Whether each call is logged, by the variable that makes upstream log its calls."""
    level = os.environ.get("TF_CPP_MAX_VLOG_LEVEL", "")
    return level.isdecimal() and int(level) > 0


def _loader(plan: Plan, predict_settings: PredictSettings, scheduler: Scheduler | None) -> Loader:
    flags = plan.flags
    config = session_config(flags)
    open_quietly(config)
    batching = Batching(plan.batching, scheduler) if plan.batching and scheduler else None
    options: dict[str, Any] = {"wrap": batching.wrap} if batching else {}
    return Loader(
        tags=frozenset(flags.saved_model_tags.split(",")),
        session_config=config,
        warm_up=flags.enable_model_warmup,
        warm_up_iterations=flags.num_request_iterations_for_warmup,
        predict_settings=predict_settings,
        **options,
    )


def _core_settings(flags: Flags) -> CoreSettings:
    automatic = 4 * (os.cpu_count() or 1)
    loading = LoadSettings(
        load_threads=flags.num_load_threads if flags.num_load_threads > 0 else automatic,
        unload_threads=flags.num_unload_threads if flags.num_unload_threads > 0 else automatic,
        max_retries=max(0, flags.max_num_load_retries),
        retry_interval_s=max(0.0, flags.load_retry_interval_micros / 1e6),
    )
    return CoreSettings(flags.file_system_poll_wait_seconds, loading, flags.allow_version_labels_for_unavailable_models)

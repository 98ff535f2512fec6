"""Everything that is read and checked before TensorFlow is loaded: a bad flag or file is reported within a second."""

from dataclasses import dataclass

from model_server import config
from model_server.batching.config import BatchingPlan, batching_plan
from model_server.flags import Flags
from model_server.network.listening import ListenSettings, check_port_free, listen_settings
from model_server.network.monitoring import MonitoringSettings, monitoring_settings
from model_server.status import invalid_argument


@dataclass(frozen=True)
class Plan:
    """What to serve, where, and how."""

    flags: Flags
    models: config.Models
    listen: ListenSettings
    monitoring: MonitoringSettings
    batching: BatchingPlan | None


def make_plan(flags: Flags) -> Plan:
    """Turn flags and the files that they name into a plan; raises ServingError for the first that is bad."""
    listen = listen_settings(flags)
    models = config.from_flags(flags)
    config.check_platforms(models)
    _check_parallelism(flags)
    plan = Plan(flags, models, listen, monitoring_settings(flags), batching_plan(flags))
    check_port_free(flags.host, flags.port, "port")
    if plan.monitoring.path is not None and flags.rest_api_port != flags.port:
        check_port_free(flags.host, flags.rest_api_port, "rest_api_port")
    return plan


def _check_parallelism(flags: Flags) -> None:
    """Refuse the three parallelism flags together, as upstream's server.cc does."""
    session, intra = flags.tensorflow_session_parallelism, flags.tensorflow_intra_op_parallelism
    if session > 0 and intra > 0 and flags.tensorflow_inter_op_parallelism > 0:
        raise invalid_argument(
            "Either configure server_options.tensorflow_session_parallelism or"
            " (server_options.tensorflow_intra_op_parallelism, server_options.tensorflow_inter_op_parallelism)"
            " separately. You cannot configure all."
        )

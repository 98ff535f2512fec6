"""The gateway's settings of a container, which are checked before anything is started."""

from collections.abc import Mapping

from deploy.errors import ServeError
from gateway.settings import SettingsError, settings_from_environment

_PORTS_OF_PLATFORMS = {"sagemaker": "SAGEMAKER_BIND_TO_PORT", "vertex": "AIP_HTTP_PORT"}


def check_settings(environ: Mapping[str, str], serving_port: int) -> None:
    """Raise ServeError when the gateway refuses ``environ``, a line for each setting, or listens at the model server's port."""
    try:
        settings = settings_from_environment(environ)
    except SettingsError as error:
        raise ServeError(str(error)) from error
    if settings.port == serving_port:
        by_platform = _PORTS_OF_PLATFORMS.get(environ.get("GATEWAY_CONTAINER_CONTRACT", ""), "")
        variable = by_platform if environ.get(by_platform) else "GATEWAY_PORT"
        raise ServeError(
            f"{variable} and SERVING_PORT are both {serving_port}: set SERVING_PORT, the model server's port, to another one"
        )

"""The files for TLS to the model server, looked at before there are workers."""

from gateway.serving_tls import BadFiles
from gateway.settings import Settings, SettingsError


def check_serving_tls(settings: Settings) -> None:
    """Raises SettingsError for a file that is missing or cannot be read.

    One that can be read and is wrong does not stop the start: it may be replaced, and ``/readyz`` says what is wrong meanwhile.
    """
    tls = settings.serving_tls()
    if tls is None:
        return
    try:
        tls.check_readable()
    except BadFiles as error:
        raise SettingsError(str(error)) from error

"""``python -m deploy.container [serve]``: one container that predicts. A model server with one model, the gateway before it.

Settings from the environment: AUTO_MODEL (the model's folder), MODEL_NAME, SERVING_PORT; every GATEWAY_* setting reaches the
gateway as is. Nothing is written but a folder in TMPDIR (/tmp). The logs of both go where those of this process go.
Exit codes: 0 after SIGTERM, once what was in flight has been answered; 1 when something failed, or one of the two has ended.
"""

import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from google.protobuf import text_format

from deploy.container_settings import check_settings
from deploy.errors import ServeError, Stopped
from deploy.one_model import OneModel, one_model
from deploy.part import check_running, running
from deploy.signals import stop_on_signals
from deploy.single_model import SingleModel, single_model
from gateway.backend.stubs import ModelServerConfig

_LOOK_S = 0.2


def main() -> int:
    """Run both programs until one ends or a signal comes; the exit code."""
    stop_on_signals()
    try:
        _serve(one_model(sys.argv[1:], os.environ))
    except Stopped:
        return 0
    except ServeError as error:
        for line in str(error).splitlines():
            print(f"container: {line}", file=sys.stderr, flush=True)
        return 1
    return 0


def _serve(asked: OneModel) -> None:
    with ExitStack() as parts:
        work_dir = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="container-")))
        model = single_model(asked.name, asked.folder, asked.asked_by, work_dir)
        config = _write_config(model, work_dir / "models.config")
        environment = asked.gateway_environment(config)
        # Here and not by the gateway alone: a model server that is still importing TensorFlow takes seconds to stop.
        check_settings(os.environ | environment, asked.serving_port)
        # Stopped in the opposite order: the gateway ends what is in flight while the model server still answers.
        server = [sys.executable, "-m", "model_server", *asked.server_flags(config)]
        gateway = [sys.executable, "-m", "gateway"]
        both = [
            parts.enter_context(running(server, {}, name="model server")),
            parts.enter_context(running(gateway, environment, name="gateway")),
        ]
        while True:
            check_running(both)
            time.sleep(_LOOK_S)


def _write_config(model: SingleModel, path: Path) -> Path:
    config = ModelServerConfig()
    config.model_config_list.config.add(name=model.name, base_path=str(model.base_path), model_platform="tensorflow")
    path.write_text(text_format.MessageToString(config), encoding="utf-8")
    return path


if __name__ == "__main__":
    sys.exit(main())

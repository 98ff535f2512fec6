"""What the terminal shows once the stack is ready."""

import sys
from collections.abc import Mapping

from deploy.stack import Stack


def greeting(stack: Stack, environ: Mapping[str, str]) -> str:
    """The addresses and folders of this run, and a request that it answers."""
    curl = "curl --insecure" if stack.scheme == "https" else "curl"
    if environ.get("GATEWAY_KEYS_FILE"):
        curl += ' -H "Authorization: Bearer $KEY"'
    return f"""ready: {stack.address}

  {curl} -d '{{"instances": [1.0, 2.0, 5.0]}}' {stack.address}/v1/models/half_plus_two:predict

answers {{"predictions":[2.5,3.0,4.5]}}

page     {stack.address}/
models   {stack.models_dir}
rollouts GATEWAY_STATE_DIR={stack.state_dir} {sys.executable} -m gateway rollout --help
logs     {stack.logs_dir / "gateway.log"} {stack.logs_dir / "model_server.log"}
stop     Ctrl-C"""

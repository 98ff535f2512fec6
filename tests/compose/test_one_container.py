"""The image target `all_in_one` as SageMaker runs it, asked by curl: its root is read-only, its model in /opt/ml/model."""

import json
import shutil
import subprocess

import pytest

from tests.compose.stack import Stack
from tests.contained.process import curl
from tests.stack.conftest import export
from tests.waiting import free_port, wait_for

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]

START_TIMEOUT_S = 240
HARDENED = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges:true")  # noqa: S108


@pytest.fixture
def flat_model(tmp_path):
    """One SavedModel without a version, which everybody may read."""
    export("build", "half_plus_two", "--models-dir", str(tmp_path / "exported"))
    folder = shutil.copytree(tmp_path / "exported" / "half_plus_two" / "1", tmp_path / "model")
    subprocess.run(["chmod", "--recursive", "a+rX", str(folder)], check=True)
    return folder


def test_sagemaker_runs_pings_invokes_and_stops_it(engine_environment, say, tmp_path, flat_model):
    docker = Stack(tmp_path / "checkout", engine_environment, say)
    docker.directory.mkdir()
    docker.check_out()
    image, container = f"{docker.project}-all-in-one", f"{docker.project}-one"
    address = f"http://127.0.0.1:{(port := free_port())}"
    try:
        docker.docker("build", "--quiet", "--target", "all_in_one", "--tag", image, ".")
        mounted = ("--volume", f"{flat_model}:/opt/ml/model:ro", "--publish", f"127.0.0.1:{port}:8080")
        docker.docker("run", "--detach", "--name", container, *HARDENED, *mounted, image, "serve")
        status = ("--output", "/dev/null", "--retry", "0", f"{address}/ping")
        wait_for(lambda: subprocess.run(["curl", "--silent", "--fail", *status], check=False).returncode == 0, START_TIMEOUT_S)
        code, body = curl(f"{address}/invocations", document={"instances": [1.0, 2.0, 5.0]})
        assert (code, json.loads(body)) == (200, {"predictions": [2.5, 3.0, 4.5]})
        described = json.loads(docker.docker("inspect", container))[0]
        assert described["Config"]["User"] == "app"
        docker.docker("stop", "--time", "40", container)
        assert json.loads(docker.docker("inspect", container))[0]["State"]["ExitCode"] == 0
    finally:
        docker.docker("rm", "--force", container)
        docker.docker("image", "rm", "--force", image)

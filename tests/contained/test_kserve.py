"""Both runtimes as KServe would run them, with commands, environments and probes of the files, and asked in both protocols."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import requests
import tritonclient.http as triton

from tests.contained.kserve_pod import chosen_runtime, load, pod
from tests.stack.conftest import ROOT
from tests.waiting import free_port, wait_for

SERVICES = {"collocated": "inferenceservice-v2.yaml", "one container": "inferenceservice-v1.yaml"}
START_TIMEOUT_S = 90


class RunningPod:
    """The containers of a Pod as processes that share the network, as in a Pod, on ports that are free here.

    What an image would give is taken from its stage in the Dockerfile. ``/mnt/models`` is ``models``, and each container's
    ``/tmp`` a folder in ``folder``.
    """

    def __init__(self, document: dict, models: Path, folder: Path) -> None:
        self.port, serving_port = free_port(), free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.processes = []
        self.probe = ""
        self._programs(folder / "bin")
        for container in document["spec"]["containers"]:
            tmp = folder / container["name"]
            tmp.mkdir()
            there = {"/mnt/models": str(models), "/tmp": str(tmp), "8500": str(serving_port)}  # noqa: S108
            # In one pass: the folders here may be in /tmp themselves.
            text = re.sub("|".join(there), lambda found, there=there: there[found[0]], json.dumps(container))
            here = json.loads(text)
            if "readinessProbe" in here:
                self.probe = here["readinessProbe"]["httpGet"]["path"]
            command, environment = of_image(container["image"])
            environment |= {entry["name"]: entry["value"] for entry in here.get("env", [])}
            environment |= {"GATEWAY_HOST": "127.0.0.1", "GATEWAY_PORT": str(self.port), "SERVING_PORT": str(serving_port)}
            environment |= {"TMPDIR": str(tmp), "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
            inherited = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
            with (folder / f"{container['name']}.log").open("wb") as log:
                self.processes.append(
                    subprocess.Popen(
                        [*(here.get("command") or command), *here["args"]],
                        cwd=tmp,
                        env=inherited | environment,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                    )
                )

    def _programs(self, folder: Path) -> None:
        """``python`` of the images, and the stand-in for tensorflow/serving's program."""
        folder.mkdir()
        for name, module in (("python", ""), ("tensorflow_model_server", "-m model_server")):
            (folder / name).write_text(f'#!/bin/sh\nexec {sys.executable} {module} "$@"\n')
            (folder / name).chmod(0o755)

    def is_ready(self) -> bool:
        assert all(process.poll() is None for process in self.processes)
        try:
            return requests.get(self.address + self.probe, timeout=10).status_code == 200
        except requests.ConnectionError:
            return False

    def stop(self) -> None:
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(60)


def of_image(image: str) -> tuple[list[str], dict[str, str]]:
    """The entrypoint and the variables of an image of ours; none for others."""
    target = {"serving-gateway": "gateway", "serving-gateway-all-in-one": "all_in_one"}.get(image)
    if target is None:
        return [], {}
    stages = re.split(r"^FROM \S+ AS ", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    [stage] = [stage for stage in stages if stage.startswith(f"{target}\n")]
    [entrypoint] = re.findall(r"^ENTRYPOINT (.+)$", stage, re.MULTILINE)
    [variables] = re.findall(r"^ENV ((?:.+\\\n)*.+)$", stage, re.MULTILINE)
    return json.loads(entrypoint), dict(re.findall(r"(\w+)=(\S+)", variables))


@contextmanager
def running(service_file: str, models: Path, folder: Path):
    service = load(service_file)
    started = RunningPod(pod(chosen_runtime(service), service), models, folder)
    try:
        wait_for(started.is_ready, START_TIMEOUT_S)
        yield started
    except AssertionError:
        for log in folder.glob("*.log"):
            print(f"{log.name}:\n{log.read_text()}")
        raise
    finally:
        started.stop()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("layout", ["flat", "versions"])
@pytest.mark.parametrize("shape", SERVICES)
def test_both_protocols_answer_in_either_shape_and_layout(shape, layout, place_model, tmp_path):
    models = place_model(layout)
    before = sorted(models.rglob("*"))
    folder = tmp_path / "pod"
    folder.mkdir()
    version = {"flat": "1", "versions": "3"}[layout]
    with running(SERVICES[shape], models, folder) as started:
        name = load(SERVICES[shape])["metadata"]["name"]
        v1 = f"{started.address}/v1/models/{name}"
        answer = requests.post(f"{v1}:predict", json={"instances": [1.0, 2.0, 5.0]}, timeout=30)
        assert (answer.status_code, answer.json()) == (200, {"predictions": [2.5, 3.0, 4.5]})
        assert requests.get(v1, timeout=30).json()["model_version_status"][0]["state"] == "AVAILABLE"
        wrong = requests.post(f"{v1}:predict", json={"instances": ["one"]}, timeout=30)
        assert wrong.status_code == 400
        with triton.InferenceServerClient(started.address.removeprefix("http://")) as client:
            assert client.is_server_ready()
            assert client.is_model_ready(name)
            metadata = client.get_model_metadata(name)
            assert metadata["versions"] == [version]
            [tensor], [output] = metadata["inputs"], metadata["outputs"]
            values = np.array([1, 2, 5], np.float32).reshape([-1, *tensor["shape"][1:]])
            given = triton.InferInput(tensor["name"], list(values.shape), tensor["datatype"])
            given.set_data_from_numpy(values)
            result = client.infer(name, [given])
            np.testing.assert_array_equal(result.as_numpy(output["name"]), values / 2 + 2)
        metrics = requests.get(f"{started.address}/metrics", timeout=30).text
        assert f'model="{name}"' in metrics
    assert sorted(models.rglob("*")) == before

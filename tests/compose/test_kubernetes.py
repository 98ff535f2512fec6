"""The Pod of deploy/kubernetes/overlays/single, with models from an init container, run by `podman kube play`.

Three things are changed, because podman 4.3 has no sidecars, turns probes into commands that the images do not have, and maps
ports only in a network: the sidecar is a container like the gateway, and there are no probes and ports.
"""

import copy
import json
from collections.abc import Iterator

import pytest

from tests.compose.podman import Podman, missing
from tests.compose.stack import Stack
from tests.kubernetes.rendering import of_kind
from tests.waiting import wait_for

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900), pytest.mark.skipif(bool(missing()), reason=missing())]

SERVER, GATEWAY, POD = "single-model-server", "single-gateway", "single"
IMAGES = {"serving-gateway": "gateway", "tensorflow/serving:2.20.0": "serving", "serving-gateway-export": "export"}
ASK = """
import sys, urllib.error, urllib.request
path, *body = sys.argv[1:]
try:
    answer = urllib.request.urlopen("http://127.0.0.1:8080" + path, *(text.encode() for text in body))
except urllib.error.HTTPError as error:
    answer = error
print(answer.read().decode())
"""


@pytest.fixture(scope="module")
def podman(stack: Stack, engine_environment, tmp_path_factory, say) -> Iterator[Podman]:
    """A podman that runs the Pod."""
    folder = tmp_path_factory.mktemp("podman")
    podman = Podman(folder)
    # As the engine calls them, and as podman calls what has no registry.
    images = {image: stack.inspect(service)["Config"]["Image"] for image, service in IMAGES.items()}
    say("podman takes the images over (a minute)")
    try:
        podman.load(list(images.values()), engine_environment)
        podman.play(documents({image: f"localhost/{name}:latest" for image, name in images.items()}), folder / "pod.yaml")
        yield podman
    finally:
        podman.remove()


def documents(images: dict[str, str]) -> list[dict]:
    """The rendering's ConfigMap and Pod."""
    [config_map] = of_kind("single+models-init", "ConfigMap")
    [deployment] = of_kind("single+models-init", "Deployment")
    spec = copy.deepcopy(deployment["spec"]["template"]["spec"])
    sidecars = [container for container in spec["initContainers"] if container.pop("restartPolicy", "") == "Always"]
    spec["initContainers"] = [container for container in spec["initContainers"] if container not in sidecars]
    spec["containers"] = sidecars + spec["containers"]
    for container in spec["initContainers"] + spec["containers"]:
        container["image"] = images[container["image"]]
        for name in ("startupProbe", "readinessProbe", "livenessProbe", "ports"):
            container.pop(name, None)
    # podman starts an init container again and again unless it is told so.
    spec["restartPolicy"] = "OnFailure"
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": POD}, "spec": spec}
    return [config_map, pod]


def ask(podman: Podman, *arguments: str) -> dict:
    done = podman.run_in(GATEWAY, "python", "-c", ASK, *arguments)
    return json.loads(done.stdout) if done.returncode == 0 else {}


def test_the_pod_predicts_with_the_models_of_its_init_container(podman):
    wait_for(lambda: ask(podman, "/readyz").get("ready"), 120, 0.5)
    answer = ask(podman, "/v1/models/half_plus_two:predict", '{"instances": [1.0, 2.0, 5.0]}')
    assert answer == {"predictions": [2.5, 3.0, 4.5]}


@pytest.mark.parametrize("container", [GATEWAY, SERVER])
def test_its_containers_can_write_only_where_they_shall(podman, container):
    refused = ["/x", "/serving_config/x"] + (["/models/x"] if container == SERVER else [])
    for path in refused:
        assert "Read-only file system" in podman.run_in(container, "touch", path).stderr
    assert podman.run_in(container, "touch", "/tmp/x").returncode == 0  # noqa: S108 - in the container


@pytest.mark.parametrize("container", [GATEWAY, SERVER])
def test_its_containers_have_no_privileges(podman, container):
    assert podman.run_in(container, "id", "-u").stdout.strip() == "1000"
    status = podman.run_in(container, "cat", "/proc/self/status").stdout
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert {name: int(fields[name], 16) for name in ("CapEff", "CapBnd", "CapPrm")} == {"CapEff": 0, "CapBnd": 0, "CapPrm": 0}
    assert fields["NoNewPrivs"].strip() == "1"


def test_it_ends_within_its_grace_period(podman):
    podman.stop(POD, 60)
    assert podman.exit_code(GATEWAY) == 0

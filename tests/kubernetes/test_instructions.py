"""What README tells about deploy/kubernetes and deploy/kserve works as far as it goes without a cluster."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from model_export.models import EXAMPLES
from tests.kubernetes.rendering import FOLDER, KUBECTL, REFUSED, REPOSITORY, combined, render, rendering
from tests.kubernetes.schemas import VERSIONS, problem

README = (REPOSITORY / "README.md").read_text()
KSERVE_README = (REPOSITORY / "deploy" / "kserve" / "README.md").read_text()
KUBERNETES = README.split("## On Kubernetes\n")[1].split("\n## ")[0]


@pytest.fixture
def clone(tmp_path) -> Path:
    """A copy of the repository's deploy/."""
    shutil.copytree(FOLDER.parent, tmp_path / "deploy")
    return tmp_path


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def images(documents) -> set[str]:
    """The images of all containers."""
    return set(re.findall(r"'image': '([^']+)'", str(documents)))


def built(text: str) -> dict[str, str]:
    """Image -> the target of the Dockerfile that its command in ``text`` names."""
    return {image: target for target, image in re.findall(r"docker build --target (\w+) -t (\S+) ", text)}


def run(command: str, folder: Path) -> str:
    return subprocess.run(["sh", "-c", command], cwd=folder, check=True, capture_output=True, text=True).stdout


def test_the_example_of_the_readme_needs_only_what_its_commands_make(clone):
    first, _ = blocks(KUBERNETES, "yaml")
    (clone / "mine").mkdir()
    (clone / "mine" / "kustomization.yaml").write_text(first)
    documents = render(clone / "mine")
    assert {document["metadata"]["namespace"] for document in documents} == {"serving"}
    assert "create namespace serving" in KUBERNETES
    assert images(documents) - built(KUBERNETES).keys() == {"tensorflow/serving:2.20.0"}
    assert set(built(KUBERNETES).values()) <= set(
        re.findall(r"^FROM \S+ AS (\w+)$", (REPOSITORY / "Dockerfile").read_text(), re.M)
    )
    assert "PersistentVolumeClaim" not in {document["kind"] for document in documents}
    assert not [secret for secret in re.findall(r"'secretKeyRef': {[^}]*}", str(documents)) if "'optional': True" not in secret]
    assert "'secret':" not in str(documents)


def test_models_init_builds_exactly_the_models_of_models_config():
    [config] = [document for document in rendering("base+models-init") if document["kind"] == "ConfigMap"]
    listed = text_format.Parse(config["data"]["models.config"], ModelServerConfig()).model_config_list.config
    assert {model.name for model in listed} == set(EXAMPLES)


def test_a_models_config_of_ones_own_takes_the_others_place(clone):
    first, addition = blocks(KUBERNETES, "yaml")
    (clone / "mine").mkdir()
    (clone / "mine" / "models.config").write_text("model_config_list {}")
    (clone / "mine" / "kustomization.yaml").write_text(first + addition)
    [config] = [document for document in render(clone / "mine") if document["kind"] == "ConfigMap"]
    assert config["metadata"]["name"] == "serving-config"
    assert config["data"]["models.config"] == "model_config_list {}"
    assert "monitoring.config" in config["data"]


@pytest.mark.parametrize(("text", "registry"), [(KUBERNETES, "registry.example"), (KSERVE_README, "REGISTRY")])
def test_the_pod_that_publishes_gets_the_image_that_was_pushed(clone, text, registry):
    [command] = re.findall(r"^\$ (sed .*publish\.yaml) \| kubectl", text, re.M)
    pod = yaml.safe_load(run(command, clone))
    assert images(pod) == {f"{registry}/serving-gateway-export:1"}
    assert built(text)[f"{registry}/serving-gateway-export:1"] == "export"


def test_the_pod_that_publishes_may_write_to_the_claim_and_is_bound_as_the_others():
    pod = yaml.safe_load((FOLDER / "publish.yaml").read_text())
    assert [wrong for version in VERSIONS if (wrong := problem(pod, version))] == []
    [claim] = [document for document in rendering("base") if document["kind"] == "PersistentVolumeClaim"]
    [volume] = [volume for volume in pod["spec"]["volumes"] if volume["name"] == "models"]
    assert volume["persistentVolumeClaim"] == {"claimName": claim["metadata"]["name"]}
    [container] = pod["spec"]["containers"]
    assert {"name": "models", "mountPath": "/models"} in container["volumeMounts"]
    [init] = [c for document in rendering("base+models-init") for c in init_containers(document)]
    assert container["securityContext"] == init["securityContext"]
    assert pod["spec"]["securityContext"]["runAsUser"] == pod["spec"]["securityContext"]["fsGroup"] == 1000


def init_containers(document) -> list[dict]:
    return document["spec"]["template"]["spec"].get("initContainers", []) if document["kind"] == "Deployment" else []


@pytest.mark.parametrize(("folder", "components"), REFUSED, ids=str)
def test_what_does_not_go_together_is_refused(folder, components):
    with combined(folder, components) as made:
        done = subprocess.run([KUBECTL, "kustomize", made], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert components[-1] in done.stderr


def test_kserves_runtimes_get_the_images_that_were_pushed(clone):
    [command] = re.findall(r"^\$ (sed -i .*)$", KSERVE_README, re.M)
    run(command, clone)
    used = images(render(clone / "deploy" / "kserve")) - {"tensorflow/serving:2.20.0"}
    assert used <= built(KSERVE_README).keys()
    assert {built(KSERVE_README)[image] for image in used} == {"gateway", "all_in_one"}


def test_kserves_examples_may_be_applied_together():
    services = [yaml.safe_load(path.read_text()) for path in (REPOSITORY / "deploy" / "kserve").glob("inferenceservice-*.yaml")]
    assert len({service["metadata"]["name"] for service in services}) == len(services) == 2

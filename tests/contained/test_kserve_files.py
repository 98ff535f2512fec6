"""KServe's objects are those of its own models and of Kubernetes' schemas, field by field."""

import re
from collections.abc import Iterator
from functools import reduce
from operator import getitem

import kubernetes_validate
import pytest

from gateway import settings
from model_server import flags
from tests.contained.kserve_models import models, problems
from tests.contained.kserve_pod import FOLDER, RUNTIMES, SERVICES, chosen_runtime, load, pod

KINDS = {"ClusterServingRuntime": "V1alpha1ClusterServingRuntime", "InferenceService": "V1beta1InferenceService"}
# What KServe leaves to Kubernetes; all of it is in the Pod, whose schema is Kubernetes' own.
OF_PODS = {"V1Container", "V1Volume", "V1EnvVar"}
# Fields in which there are none of KServe's own.
NOT_OF_KSERVE = ("metadata", "annotations", "containers", "volumes", "env")
OLDEST, NEWEST = "1.30", "1.37"
SETTINGS = {row.variable for row in settings.setting_rows()}
PODS = {
    "by itself": (chosen_runtime(load("inferenceservice-v2.yaml")), load("inferenceservice-v2.yaml")),
    "by name": (chosen_runtime(load("inferenceservice-v1.yaml")), load("inferenceservice-v1.yaml")),
}


def checked(document: dict) -> list[str]:
    wrong, foreign = problems(document, KINDS[document["kind"]])
    assert foreign <= {*OF_PODS, "V1ObjectMeta"}
    return wrong + [f"/metadata/{name}" for name in document.get("metadata", {}).keys() - {"name", "annotations", "labels"}]


@pytest.mark.parametrize("name", [*RUNTIMES, *SERVICES])
def test_every_field_is_one_of_kserves_models(name):
    assert checked(load(name)) == []


def places(document: object, place: tuple = ()) -> Iterator[tuple]:
    """Where ``document`` has fields of KServe's models."""
    if isinstance(document, list):
        for index, item in enumerate(document):
            yield from places(item, (*place, index))
    elif isinstance(document, dict):
        for name, value in document.items():
            yield (*place, name)
            if name not in NOT_OF_KSERVE:
                yield from places(value, (*place, name))


@pytest.mark.parametrize("name", [*RUNTIMES, *SERVICES])
def test_a_misspelled_field_is_found_wherever_it_is(name):
    found = [place for place in places(load(name)) if place != ("kind",)]
    assert len(found) > 8
    for *parents, field in found:
        document = load(name)
        owner = reduce(getitem, parents, document)
        owner[f"{field}x"] = owner.pop(field)
        assert any(f"/{field}x: there is no such field" in problem for problem in checked(document)), (parents, field)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"protocolVersions": "v2"}, "/spec/protocolVersions: expected list[str], got 'v2'"),
        ({"supportedModelFormats": [{"name": "tensorflow", "priority": "3"}]}, "/priority: expected int, got '3'"),
        ({"containers": None}, "/spec/containers: expected list[V1Container], got None"),
    ],
)
def test_a_value_of_another_type_is_found(change, problem):
    document = load("runtime.yaml")
    document["spec"] |= change
    assert any(found.endswith(problem) for found in checked(document))


def test_the_models_are_those_of_kserve():
    assert "autoSelect" in models()["V1alpha1SupportedModelFormat"].types
    assert models()["V1alpha1ServingRuntimeSpec"].required == {"containers"}


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("made", PODS.values(), ids=PODS)
def test_the_pod_that_kserve_makes_of_them_is_one_for_kubernetes(made, version):
    kubernetes_validate.validate(pod(*made), version, strict=True)


@pytest.mark.parametrize("place", ["securityContext", "resources", "readinessProbe", "volumeMounts", "ports", "image"])
def test_a_misspelled_field_of_a_container_is_found(place):
    document = pod(*PODS["by itself"])
    container = document["spec"]["containers"][1]
    container[f"{place}s"] = container.pop(place)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, NEWEST, strict=True)


def test_protocol_v2_comes_from_ours_by_itself_and_one_container_by_name():
    assert {name: made[0]["metadata"]["name"] for name, made in PODS.items()} == {
        "by itself": "serving-gateway",
        "by name": "serving-gateway-one-container",
    }


@pytest.mark.parametrize("name", RUNTIMES)
def test_kserve_finds_the_containers_the_port_and_the_metrics(name):
    spec = load(name)["spec"]
    containers = {container["name"]: container for container in spec["containers"]}
    # The model is mounted into these only.
    assert containers.keys() <= {"kserve-container", "transformer-container"}
    [[port]] = [container["ports"] for container in spec["containers"] if "ports" in container]
    assert spec["annotations"] == {
        "prometheus.kserve.io/port": str(port["containerPort"]),
        "prometheus.kserve.io/path": "/metrics",
    }
    assert {*spec["protocolVersions"]} == {"v1", "v2"}


@pytest.mark.parametrize("made", PODS.values(), ids=PODS)
def test_only_settings_and_flags_that_exist_are_given(made):
    for container in pod(*made)["spec"]["containers"]:
        names = {entry["name"] for entry in container.get("env", [])}
        assert names <= SETTINGS | {"AUTO_MODEL", "MODEL_NAME"}
        given = [argument for argument in container["args"] if argument.startswith("--")]
        parsed = flags.parse(given)
        assert (parsed.unknown, parsed.ignored) == ((), ())
        assert "{{" not in str(container)


@pytest.mark.parametrize("made", PODS.values(), ids=PODS)
def test_a_container_may_write_to_tmp_and_nowhere_else(made):
    for container in pod(*made)["spec"]["containers"]:
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"]
        assert security["runAsNonRoot"]
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp"]  # noqa: S108


def test_the_image_of_tensorflow_serving_has_the_version_of_everything_else():
    [version] = re.findall(r'"tensorflow-serving-api==([\d.]+)"', (FOLDER.parents[1] / "pyproject.toml").read_text())
    assert load("runtime.yaml")["spec"]["containers"][0]["image"] == f"tensorflow/serving:{version}"

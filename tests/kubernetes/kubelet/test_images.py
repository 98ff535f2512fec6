"""The images that the manifests name are those of the Dockerfile."""

import pytest

from tests.kubernetes.kubelet.container import command_line
from tests.kubernetes.kubelet.images import ROOT, Image, image


def test_a_stage_has_what_the_dockerfile_says_of_it_and_of_the_stages_below():
    gateway = image("serving-gateway")
    assert gateway.entrypoint == ("python", "-m", "gateway")
    assert gateway.command == ()
    assert gateway.folder == "/app"
    assert gateway.copied == (("gateway", "/app/gateway"),)
    assert gateway.environment["PATH"].startswith("/opt/venv/bin:/usr/local/sbin:")
    assert gateway.environment["PYTHONPATH"] == "/app"
    assert gateway.environment["GATEWAY_PORT"] == "8080"


def test_the_stand_in_has_the_entrypoint_of_tensorflow_serving():
    server = image("tensorflow/serving:2.20.0")
    assert server.entrypoint == ("/usr/bin/tf_serving_entrypoint.sh",)
    assert ("deploy/tf_serving_entrypoint.sh", "/usr/bin/tf_serving_entrypoint.sh") in server.copied
    assert server.environment["MODEL_BASE_PATH"] == "/models"


def test_every_rendered_image_is_known_and_its_user_is_the_one_of_the_manifest(documents):
    dockerfile = (ROOT / "Dockerfile").read_text()
    specs = [document["spec"]["template"]["spec"] for document in documents if document["kind"] == "Deployment"]
    assert len(specs) == 2
    for spec in specs:
        user = image(spec["containers"][0]["image"]).user
        assert f"useradd --uid {spec['securityContext']['runAsUser']} --gid {user}" in dockerfile


def test_an_image_that_nobody_builds_is_refused():
    with pytest.raises(ValueError, match=r"'nginx:1': expected one of \['serving-gateway'"):
        image("nginx:1")


@pytest.mark.parametrize(
    ("container", "words"),
    [
        ({}, ["/entry", "usual"]),
        ({"args": ["a"]}, ["/entry", "a"]),
        ({"args": []}, ["/entry"]),
        ({"command": ["b"]}, ["b"]),
        ({"command": ["b"], "args": ["a"]}, ["b", "a"]),
    ],
    ids=str,
)
def test_command_and_args_take_the_place_of_entrypoint_and_cmd_as_in_kubernetes(container, words):
    assert command_line(container, Image({}, entrypoint=("/entry",), command=("usual",))) == words

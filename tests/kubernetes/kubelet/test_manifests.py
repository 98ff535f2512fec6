"""What the kubelet takes from the manifests for a container."""

import pytest

from tests.kubernetes.kubelet.manifests import Manifests, Volume

MAP = {"kind": "ConfigMap", "metadata": {"name": "map"}, "data": {"a.config": "text", "A": "1"}}
MANIFESTS = Manifests([MAP], secrets={"secret": {"url": "redis://r"}})


def reference(kind: str, name: str, key: str, **others: object) -> dict:
    return {"name": "X", "valueFrom": {kind: {"name": name, "key": key, **others}}}


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ({"name": "X", "value": "8080"}, {"X": "8080"}),
        (reference("secretKeyRef", "secret", "url"), {"X": "redis://r"}),
        (reference("secretKeyRef", "secret", "none", optional=True), {}),
        (reference("secretKeyRef", "none", "url", optional=True), {}),
        (reference("configMapKeyRef", "map", "A"), {"X": "1"}),
        ({"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}, {"X": "10.0.0.1"}),
    ],
    ids=str,
)
def test_a_variable_has_its_value_or_is_left_out(entry, found):
    assert MANIFESTS.environment({"env": [entry]}, {"status.podIP": "10.0.0.1"}) == found


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (reference("secretKeyRef", "none", "url"), "no Secret 'none' was given"),
        (reference("secretKeyRef", "secret", "none"), "variable X: 'secret' has no key 'none'"),
        (reference("configMapKeyRef", "none", "A"), "no ConfigMap 'none' was rendered"),
        ({"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}, "variable X: expected one of the fields"),
        ({"name": "X", "value": "$(Y)"}, r"variable X: expected no \$\(...\)"),
    ],
    ids=str,
)
def test_a_variable_without_its_source_is_refused(entry, message):
    with pytest.raises(ValueError, match=message):
        MANIFESTS.environment({"env": [entry]}, {"status.podIP": "10.0.0.1"})


def test_env_comes_after_env_from():
    container = {"envFrom": [{"configMapRef": {"name": "map"}}], "env": [{"name": "A", "value": "2"}]}
    assert MANIFESTS.environment(container, {}) == {"a.config": "text", "A": "2"}


def test_volumes_are_folders_with_their_files_or_memory(tmp_path):
    volume = MANIFESTS.volume({"name": "v", "configMap": {"name": "map"}}, tmp_path / "v")
    assert volume == Volume(tmp_path / "v")
    assert (tmp_path / "v" / "a.config").read_text() == "text"
    memory = MANIFESTS.volume({"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}}, tmp_path / "m")
    assert memory == Volume(None, "64m")
    with pytest.raises(ValueError, match="volume 'h': the simulation has no hostPath"):
        MANIFESTS.volume({"name": "h", "hostPath": {"path": "/"}}, tmp_path / "h")

"""A cluster that runs the overlay of three model servers, from which all tests of this folder take what they look at."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kubernetes.kubelet.cluster import Cluster
from tests.kubernetes.kubelet.images import ROOT
from tests.kubernetes.kubelet.manifests import Document, Manifests
from tests.kubernetes.rendering import rendering
from tests.stack.conftest import export
from tests.waiting import wait_for

MODELS = ("half_plus_two", "dense", "digits", "basket")  # of the manifests' models.config
READY_S = 200  # on a busy machine; the manifests allow the model servers twenty minutes


@pytest.fixture(scope="session")
def documents() -> list[Document]:
    """What kustomize makes of the overlay."""
    return list(rendering("replicas"))


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> Path:
    """One small model under each name, because the manifests name four, and nobody here asks for three of them."""
    folder = tmp_path_factory.mktemp("models")
    export("build", MODELS[0], "--models-dir", str(folder))
    for name in MODELS[1:]:
        shutil.copytree(folder / MODELS[0], folder / name)
    subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
    return folder


@contextmanager
def running_cluster(documents: list[Document], models: Path, folder: Path) -> Iterator[Cluster]:
    """A cluster whose Pods are ready."""
    if os.geteuid() != 0:
        assert not os.environ.get("CI"), "the simulated kubelet was NOT RUN: it needs root"
        pytest.skip("the simulated kubelet was NOT RUN: it needs root, for network and mount namespaces")
    subprocess.run([sys.executable, "-m", "compileall", "-q", "gateway", "model_server"], cwd=ROOT, check=True)  # as the images
    with Cluster(Manifests(documents, claims={"models": models}), folder) as running:
        try:
            wait_for(running.is_settled, READY_S)
        except AssertionError as error:
            raise AssertionError("\n".join(f"{pod.name}: {pod.events}\n{pod.log()}" for pod in running.pods)) from error
        yield running


@pytest.fixture(scope="session")
def cluster(documents, models, tmp_path_factory) -> Iterator[Cluster]:
    """The one that all tests share and leave as it was."""
    with running_cluster(documents, models, tmp_path_factory.mktemp("cluster")) as running:
        yield running

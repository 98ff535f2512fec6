"""LitServe: FastAPI processes that hand requests to a process with the model."""

from pathlib import Path

from benchmarks.contender import Contender
from benchmarks.peers import instances, launch
from benchmarks.workload import IMAGE

REQUIREMENTS = launch.requirements("litserve")


def contender(port: int, saved_model: Path, env_dir: Path) -> Contender:
    """LitServe parses the body itself, as JSON: it takes no array as it is. Of its two ways each model gets the better one."""
    body = "arrays" if saved_model.parent.name == IMAGE else "lists"
    ready_url = f"http://{launch.HOST}:{port}/health"
    front = launch.program(
        "litserve", launch.server("litserve_server", str(port), body), ready_url, env_dir=env_dir, saved_model=saved_model
    )
    return Contender("litserve", port, front, instances.encodings("/predict", npy=False))

"""mosec: an HTTP front in Rust that fills batches for Python processes."""

from pathlib import Path

from benchmarks.contender import Contender
from benchmarks.peers import instances, launch

REQUIREMENTS = launch.requirements("mosec")


def contender(port: int, saved_model: Path, env_dir: Path) -> Contender:
    """mosec reads where to listen from its environment; ``GET /`` answers once its workers are there."""
    settings = {"MOSEC_ADDRESS": launch.HOST, "MOSEC_PORT": str(port), "MOSEC_LOG_LEVEL": "error"}
    ready_url = f"http://{launch.HOST}:{port}/"
    front = launch.program(
        "mosec", launch.server("mosec_server"), ready_url, env_dir=env_dir, saved_model=saved_model, environment=settings
    )
    return Contender("mosec", port, front, instances.encodings("/inference", npy=True))

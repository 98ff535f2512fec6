"""Ray Serve: a replica with the model behind HAProxy, and the cluster around them."""

import tempfile
from pathlib import Path

from benchmarks.contender import Contender
from benchmarks.peers import instances, launch

REQUIREMENTS = launch.requirements("ray_serve")


def contender(port: int, saved_model: Path, env_dir: Path) -> Contender:
    """The high-throughput mode of Ray's documentation: HAProxy in C instead of the proxy in Python, no thread for user code."""
    # Not in the environment's folder: the paths of its sockets would be longer than the kernel takes.
    scratch = Path(tempfile.gettempdir()) / f"bench-ray-{port}"
    settings = {
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_HAPROXY_NBTHREAD": "1",
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(scratch / "haproxy" / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(scratch / "haproxy" / "admin.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(scratch / "haproxy"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(scratch / "haproxy" / "server-state"),
    }
    argv = launch.server("ray_serve_server", str(port), str(scratch))
    front = launch.program(
        "ray_serve", argv, f"http://{launch.HOST}:{port}/ready", env_dir=env_dir, saved_model=saved_model, environment=settings
    )
    return Contender("ray_serve", port, front, instances.encodings("/", npy=True))

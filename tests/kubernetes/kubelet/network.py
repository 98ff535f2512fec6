"""A node's network: a bridge in a namespace of its own, and a namespace with an address for each Pod.

The bridge is not in this machine's own namespace, where the rules of a Docker engine would drop what Pods send each other.
"""

import ipaddress
import itertools
import os
import subprocess
import threading

_POOL = ipaddress.ip_network("10.213.0.0/16")


def run(*command: object) -> str:
    """What a command prints. Raises CalledProcessError if it fails."""
    return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True).stdout


class Node:
    """From enter to exit Pods can be added. ``address`` is this machine's own in their network."""

    def __init__(self) -> None:
        self._name = f"kn{os.getpid()}"
        self._numbers = itertools.count(2)
        self._pods: set[str] = set()
        self._lock = threading.Lock()  # Pods come and go in threads of their own
        self._network = _free_network()
        self.address = str(self._network[1])

    def __enter__(self) -> "Node":
        run("ip", "netns", "add", self._name)
        try:
            self._connect()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _connect(self) -> None:
        run("ip", "-n", self._name, "link", "add", "bridge", "type", "bridge")
        run("ip", "-n", self._name, "link", "set", "bridge", "up")
        run("ip", "link", "add", self._name, "type", "veth", "peer", "name", "host", "netns", self._name)
        run("ip", "-n", self._name, "link", "set", "host", "up", "master", "bridge")
        run("ip", "address", "add", f"{self.address}/{self._network.prefixlen}", "dev", self._name)
        run("ip", "link", "set", self._name, "up")

    def __exit__(self, *error: object) -> None:
        for namespace in list(self._pods):
            self.remove(namespace)
        run("ip", "netns", "delete", self._name)

    def add(self) -> tuple[str, str]:
        """A new namespace: its name, and an address that no Pod has had before."""
        with self._lock:
            number = next(self._numbers)
            namespace, address = f"{self._name}p{number}", str(self._network[number])
            run("ip", "netns", "add", namespace)
            self._pods.add(namespace)
            run(
                "ip",
                "-n",
                self._name,
                "link",
                "add",
                f"pod{number}",
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "netns",
                namespace,
            )
            run("ip", "-n", self._name, "link", "set", f"pod{number}", "up", "master", "bridge")
            run("ip", "-n", namespace, "address", "add", f"{address}/{self._network.prefixlen}", "dev", "eth0")
            for device in ("lo", "eth0"):
                run("ip", "-n", namespace, "link", "set", device, "up")
            return namespace, address

    def remove(self, namespace: str) -> None:
        """Take a Pod's address away: from then on nothing answers there, not even with a refusal."""
        with self._lock:
            run("ip", "netns", "delete", namespace)
            self._pods.discard(namespace)


def _free_network() -> ipaddress.IPv4Network:
    """A part of the pool that this machine has no route to yet; beginning with the process's number, for two runs at a time."""
    routed = run("ip", "-4", "route", "show")
    networks = [network for network in _POOL.subnets(new_prefix=24) if f"{network} " not in routed]
    if not networks:
        raise RuntimeError(f"every /24 of {_POOL} is in use on this machine")
    return networks[os.getpid() % len(networks)]

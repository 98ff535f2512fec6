"""What the gateway's /readyz says of the models while the stack comes up."""

import json
import re
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

_FAILED = re.compile(r"version -?[0-9]+ failed: ")
_ALL_FAILED = re.compile(r"models that are not ready: ([0-9]+), failed: \1")
_PENDING = re.compile(r"version -?[0-9]+ is (START|LOADING)")


@dataclass(frozen=True)
class Readiness:
    """One answer. ``waiting_for`` is one line, empty when waiting longer changes nothing: each model serves or has failed.

    ``failures`` has a line for each version that failed.
    """

    waiting_for: str
    failures: tuple[str, ...] = ()


def ask(port: int, scheme: str = "http") -> Readiness:
    """Ask the gateway on this port of the loopback interface, by ``http`` or ``https``."""
    try:
        return _read(_body(f"{scheme}://127.0.0.1:{port}/readyz"))
    except (OSError, HTTPException, ValueError) as error:
        return Readiness(f"the gateway does not answer yet ({error})")


def _body(url: str) -> bytes:
    # The certificate is for the name that clients use, not for this address.
    unchecked = ssl.create_default_context()
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, timeout=5, context=unchecked) as answer:  # noqa: S310 - a URL of ours
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        return error.read()


def _read(body: bytes) -> Readiness:
    state = json.loads(body)
    unready = [model for model in state["models"] if not model["ready"]]
    failures = tuple(
        _one_line(f"{model['name']}: {problem}")
        for model in state["models"]
        for problem in model["problems"]
        if _FAILED.match(problem)
    )
    if state["ready"] or (unready and all(map(_has_failed, unready))):
        return Readiness("", failures)
    first, *others = state["reasons"]
    if not others and _ALL_FAILED.fullmatch(first):  # a gateway that asks for keys names no model here
        return Readiness("", (first,))
    return Readiness(_one_line(first) + (f" (and {len(others)} more)" if others else ""), failures)


def _has_failed(model: dict[str, Any]) -> bool:
    """Whether a model that is not ready has failed: none of its versions may still come up."""
    problems = model["problems"]
    return any(map(_FAILED.match, problems)) and not any(map(_PENDING.match, problems))


def _one_line(text: str) -> str:
    return " ".join(text.split())

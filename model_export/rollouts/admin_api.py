"""A gateway's `/admin/rollouts` as this package needs it: what runs, pin what serves, start.

No redirect and no proxy is followed, so the key goes to no other address than the one that was given.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlsplit

from model_export.errors import ExportError

T = TypeVar("T")

TIMEOUT_S: Final = 10.0
# A pin is answered when each model server has taken it over, or cannot.
PIN_TIMEOUT_S: Final = 60.0
_MOST_CHARACTERS: Final = 500


class GatewayAwayError(ExportError):
    """The gateway gave no answer that says what it did: what was asked may have happened, or not."""


class GatewayRefusedError(ExportError):
    """The gateway did nothing, and says why."""


@dataclass(frozen=True)
class Rollout:
    """A rollout as the gateway tells it. ``is_open``: it still says where requests go, although it may have ended."""

    model: str
    id: str
    state: str
    stable: int | None
    canary: int
    is_ended: bool
    is_open: bool
    reason: str

    @property
    def words(self) -> str:
        """The state for a person."""
        return "promoted (the old version is still loaded)" if self.state == "bake_after" else self.state.replace("_", " ")


@dataclass(frozen=True)
class Pinned:
    """The versions that the model config file names now, and what each model server that has not taken them over says."""

    versions: tuple[int, ...]
    is_confirmed: bool
    troubles: tuple[str, ...]


def key_from_environment() -> str | None:
    """Return the key of GATEWAY_KEY, which is no option: other users of a machine can read a command line."""
    return os.environ.get("GATEWAY_KEY") or None


def admin_api(url: str, key: str | None) -> "AdminApi":
    """Return the API at a gateway's address, such as ``https://host:8443``. Raises ExportError for what is no such address."""
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and not (parts.query or parts.username)
        port = parts.port
    except ValueError as error:
        raise ExportError(f"{url} is no gateway's address: {error}") from error
    if not is_address:
        raise ExportError(f"{url} is no gateway's address: expected one such as http://127.0.0.1:8080")
    if key is not None and not (key.isascii() and key.isprintable()):
        raise ExportError("GATEWAY_KEY is no key: it has characters that no header may have")
    make = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    return AdminApi(url.rstrip("/"), lambda timeout_s: make(str(parts.hostname), port, timeout=timeout_s), key)


class AdminApi:
    """Each call is one request on a connection of its own.

    Raises GatewayAwayError and GatewayRefusedError, each with one line that says what to do.
    """

    def __init__(self, url: str, connect: Callable[[float], HTTPConnection], key: str | None) -> None:
        self.url = url
        self._connect = connect
        self._path = f"{urlsplit(url).path.rstrip('/')}/admin/rollouts"
        self._headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})

    def rollouts(self) -> list[Rollout]:
        """Return the newest rollout of each model that ever had one."""
        return self._ask("GET", "", None, lambda answer: [_rollout(value) for value in answer["rollouts"]])

    def rollout_of(self, model: str) -> Rollout | None:
        """Return the newest rollout of the model, or None if it never had one."""
        return next((rollout for rollout in self.rollouts() if rollout.model == model), None)

    def pin(self, model: str) -> Pinned:
        """Let the model config file name the versions that serve now, so that a new directory changes nothing."""
        return self._ask("POST", f"/{quote(model)}/pin", {}, _pinned, PIN_TIMEOUT_S)

    def start(self, model: str, wanted: Mapping[str, Any]) -> Rollout:
        """Ask for a rollout; the gateway checks what is ``wanted``."""
        return self._ask("POST", f"/{quote(model)}", wanted, _rollout)

    def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        read: Callable[[Any], T],
        timeout_s: float = TIMEOUT_S,
    ) -> T:
        status, text = self._exchange(method, self._path + path, body, timeout_s)
        answer = _json(text)
        if status >= 500:
            raise GatewayAwayError(f"{self.url} answers {status}: {_words(answer, text)}")
        if not 200 <= status < 300:
            raise GatewayRefusedError(f"{self.url} answers {status}: {_words(answer, text)}{self._advice(status)}")
        try:
            return read(answer)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise GatewayAwayError(f"{self.url} does not answer as a gateway does: {_words(answer, text)}") from error

    def _exchange(self, method: str, path: str, body: Mapping[str, Any] | None, timeout_s: float) -> tuple[int, str]:
        headers = self._headers | ({"Content-Type": "application/json"} if body is not None else {})
        connection = self._connect(timeout_s)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")
        except (OSError, HTTPException) as error:
            raise GatewayAwayError(f"the gateway at {self.url} does not answer: {error or type(error).__name__}") from error
        finally:
            connection.close()

    def _advice(self, status: int) -> str:
        if status == 401 and "Authorization" not in self._headers:
            return "; GATEWAY_KEY is not set: put a key with the scope admin there"
        if 300 <= status < 400:
            return "; give the address that it leads to, no redirect is followed with a key"
        return ""


def _rollout(value: Any) -> Rollout:
    state = str(value["state"])
    return Rollout(
        model=str(value["model"]),
        id=str(value["id"]),
        state=state,
        stable=value.get("stable"),
        canary=int(value["canary"]),
        is_ended=bool(value.get("is_ended", False)),
        is_open=bool(value.get("is_open", state != "refused")),
        reason=str(value.get("reason") or ""),
    )


def _pinned(answer: Any) -> Pinned:
    troubles = tuple(f"{address}: {reason}" for address, reason in answer["servers"].items() if reason)
    return Pinned(tuple(int(version) for version in answer["versions"]), bool(answer["confirmed"]), troubles)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _words(answer: Any, text: str) -> str:
    """Return what the answer says: its ``error`` (or ``message``), and where its details point to; else its beginning."""
    said = text
    if isinstance(answer, dict):
        said = str(answer.get("message") or answer.get("error") or text)
        details = answer.get("details")
        if isinstance(details, list) and details and not answer.get("message"):
            said += f" ({'; '.join(map(_detail, details))})"
    said = " ".join(said.split())
    return said if len(said) <= _MOST_CHARACTERS else f"{said[:_MOST_CHARACTERS]} ..."


def _detail(detail: Any) -> str:
    return " ".join(f"{name}: {value}" for name, value in detail.items()) if isinstance(detail, dict) else str(detail)

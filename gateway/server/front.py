"""The front: predictions and probes are answered on the event loop, everything else by a WSGI application in threads."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from werkzeug.test import run_wsgi_app

from gateway.call import ENVIRON_KEY, Answer, Call, Handler
from gateway.errors import GatewayError, too_many_in_work

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_THREADS: Final = 16
# The server sets these itself, but for the length in an answer to HEAD, which has no body to measure.
_OF_THE_SERVER: Final = frozenset(("content-length", "date", "connection", "server"))
_NOT_HTTP: Final = frozenset(("content-type", "content-length", "transfer-encoding", "expect"))


class Front:
    """Answers whole requests, for one event loop.

    - ``find(call)``: the handler of a request that is answered on the event loop, or None.
    - ``edge_answer(call, handler)``: its answer.
    - ``application``: answers all other requests, 16 at a time; ``max_waiting`` of them may be in work or wait for a thread.
    - ``refuse(call, error)``: the answer to one too many.
    """

    def __init__(
        self,
        find: Callable[[Call], Handler | None],
        edge_answer: Callable[[Call, Handler], Awaitable[Answer]],
        application: "WSGIApplication",
        refuse: Callable[[Call, GatewayError], Answer],
        max_waiting: int,
    ) -> None:
        self._find = find
        self._edge_answer = edge_answer
        self._application = application
        self._refuse = refuse
        self._max_waiting = max_waiting
        self._waiting = 0
        self._threads = ThreadPoolExecutor(_THREADS, "wsgi")

    async def answer(self, call: Call) -> Answer:
        """The answer to ``call``."""
        handler = self._find(call)
        if handler is not None:
            return await self._edge_answer(call, handler)
        if self._waiting >= self._max_waiting:
            return self._refuse(call, too_many_in_work(self._max_waiting))
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, run_wsgi, self._application, call)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Begin nothing more in the threads. Those that work are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def run_wsgi(application: "WSGIApplication", call: Call) -> Answer:
    """The answer of a WSGI application. Raises what the application raises."""
    body, status, headers = run_wsgi_app(application, environ_of(call), buffered=True)
    kept = _OF_THE_SERVER - {"content-length"} if call.method == "HEAD" else _OF_THE_SERVER
    fields = [(name, value) for name, value in headers if name.lower() not in kept]
    return Answer(int(status.split(None, 1)[0]), b"".join(body), fields)


def environ_of(call: Call) -> dict[str, Any]:
    """The WSGI environment (PEP 3333) of ``call``, which is in it under ``gateway.call``.

    The target as it was sent is ``RAW_URI`` and ``REQUEST_URI``, as gunicorn and uWSGI have it.
    """
    target = f"{call.path}?{call.query}" if call.query else call.path
    fields = {name.upper().replace("-", "_"): value for name, value in call.headers.items() if name not in _NOT_HTTP}
    return {
        **{f"HTTP_{name}": value for name, value in fields.items()},
        "REQUEST_METHOD": call.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(call.path).decode("latin-1"),
        "QUERY_STRING": call.query,
        "RAW_URI": target,
        "REQUEST_URI": target,
        "SERVER_NAME": "gateway",
        "SERVER_PORT": "443" if call.scheme == "https" else "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": call.client,
        "CONTENT_TYPE": call.headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(call.body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": call.scheme,
        "wsgi.input": BytesIO(call.body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        ENVIRON_KEY: call,
    }

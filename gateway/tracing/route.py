"""The path of a request -> the pattern of its route, of which there are few, whatever clients send."""

import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

_LONGEST_REMEMBERED: Final = 200

_PATTERNS: Final = tuple(
    (re.compile(pattern + r"\Z"), route)
    for pattern, route in (
        (r"/predict", "/predict"),
        (r"/predict/[^/]+", "/predict/{{model}}"),
        (r"/v1/models/[^/:]+:(predict|classify|regress)", r"/v1/models/{{model}}:{}"),
        (r"/v1/models/[^/:]+/versions/\d+:(predict|classify|regress)", r"/v1/models/{{model}}/versions/{{version}}:{}"),
        (r"/v1/models/[^/:]+/labels/[^/:]+:(predict|classify|regress)", r"/v1/models/{{model}}/labels/{{label}}:{}"),
        (r"/v1/models/[^/:]+/metadata", "/v1/models/{{model}}/metadata"),
        (r"/v1/models/[^/:]+", "/v1/models/{{model}}"),
        (r"/v1/models/?", "/v1/models"),
        (r"/v2/models/[^/]+/infer", "/v2/models/{{model}}/infer"),
        (r"/v2/models/[^/]+/versions/[^/]+/infer", "/v2/models/{{model}}/versions/{{version}}/infer"),
        (r"/(v1/feedback|v2|docs|invocations|openapi\.json|admin/(rollouts|keys|log))", "/{}"),
        (r"/admin/keys/[^/]+/(rotate|disable)", "/admin/keys/{{name}}/{}"),
        (r"/admin/rollouts/[^/]+", "/admin/rollouts/{{model}}"),
        (r"/admin/rollouts/[^/]+/(pin|history|explain)", "/admin/rollouts/{{model}}/{}"),
        (r"/admin/rollouts/[^/]+/[a-z]+", "/admin/rollouts/{{model}}/{{order}}"),
    )
)


def route_of(path: str) -> str:
    """The pattern of the route of ``path``, as it was sent; empty for one of which nothing is known here."""
    return _remembered(path) if len(path) <= _LONGEST_REMEMBERED else _matched(path)


def _matched(path: str) -> str:
    plain = unquote(path)
    for pattern, route in _PATTERNS:
        found = pattern.match(plain)
        if found is not None:
            return route.format(*found.groups())
    return ""


_remembered: Final = lru_cache(1024)(_matched)

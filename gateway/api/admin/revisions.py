"""The entity tag of a rollout, ``"<plan id>.<revision>"``, by which an order says what its sender has seen.

A plan's id begins with the model's name, in which any character may stand: those that no tag may have are percent-encoded.
"""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, unquote

from gateway.api.preconditions import strong_tag, strong_tags
from gateway.call import Call
from gateway.rollout.plan import Plan
from gateway.rollout.store.seen import Seen

_TAG: Final = re.compile(r"(?P<plan>.+)\.(?P<revision>[0-9]{1,18})")


def headers_of(plan: Plan) -> list[tuple[str, str]]:
    """The headers of an answer that shows ``plan``. It must not be kept: the figures beside the plan change without it."""
    return [("ETag", strong_tag(f"{quote(plan.id, safe='')}.{plan.revision}")), ("Cache-Control", "no-store")]


def seen_by(call: Call) -> Seen | None:
    """What the If-Match of ``call`` names; None if that asks for nothing. Tags of other things than rollouts are left out."""
    tags = strong_tags(call)
    return None if tags is None else frozenset(_revisions(tags))


def _revisions(tags: frozenset[str]) -> Iterator[tuple[str, int]]:
    for tag in tags:
        found = _TAG.fullmatch(tag)
        if found is not None:
            yield unquote(found["plan"]), int(found["revision"])

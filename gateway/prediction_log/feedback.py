"""The body of a request with feedback: ``{"request_id": ..., "row": 0, "label": ...}``, where the row may be left out."""

import json
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from marshmallow import RAISE, Schema, ValidationError, fields

from gateway.access.key_text import hide_secrets
from gateway.errors import InvalidArgument, Problem
from gateway.prediction_log.row import FeedbackRow

_MOST_ROW: Final = 2**31 - 1
_MOST_LABEL: Final = 16_384  # characters
_MOST_ID: Final = 128
_MOST_GOT: Final = 40
_MOST_PROBLEMS: Final = 20


class _RequestId(fields.Field[str]):
    """The id as the answer had it, in which a key is hidden."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        # What the edge takes from a client as the id of a request.
        if type(value) is not str or not 1 <= len(value) <= _MOST_ID or not all("!" <= one <= "~" for one in value):
            raise self.make_error("invalid")
        return hide_secrets(value)


class _RowNumber(fields.Field[int]):
    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        if type(value) is not int or not 0 <= value <= _MOST_ROW:
            raise self.make_error("invalid")
        return value


class _Label(fields.Field[str]):
    """Any JSON but null, as JSON text in ASCII, in which a key is hidden."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        try:
            label = json.dumps(value, allow_nan=False, separators=(",", ":"))
        except (ValueError, RecursionError):
            raise self.make_error("invalid") from None
        if len(label) > _MOST_LABEL:
            raise self.make_error("invalid")
        return hide_secrets(label)


def _always(expected: str) -> dict[str, str | list[Any] | dict[Any, Any]]:
    return dict.fromkeys(("required", "null", "invalid"), expected)


class _Feedback(Schema):
    class Meta:
        unknown = RAISE

    error_messages = {"type": "an object", "unknown": "nothing of this name"}  # noqa: RUF012 - marshmallow's way to set them

    request_id = _RequestId(
        required=True, error_messages=_always(f"the X-Request-Id of an answer, up to {_MOST_ID} printable ASCII characters")
    )
    row = _RowNumber(load_default=0, error_messages=_always(f"a whole number from 0 to {_MOST_ROW}"))
    label = _Label(required=True, error_messages=_always(f"JSON of up to {_MOST_LABEL} characters, and not null"))


_SCHEMA: Final = _Feedback()


def feedback_row(document: Any, source: str) -> FeedbackRow:
    """The row of a decoded body; ``source`` names the caller. Raises InvalidArgument, which says all that is wrong."""
    try:
        return FeedbackRow(source=source, **_SCHEMA.load(document))
    except ValidationError as error:
        found = error.messages_dict
        problems = [_problem(name, expected[0], document) for name, expected in islice(found.items(), _MOST_PROBLEMS)]
        raise InvalidArgument("; ".join(map(str, problems)), problems, len(found) - len(problems)) from None


def _problem(name: str, expected: str, document: Any) -> Problem:
    if not isinstance(document, dict):
        return Problem("", expected, _described(document))
    pointer = "/" + name[:_MOST_ID].replace("~", "~0").replace("/", "~1")
    return Problem(pointer, expected, _described(document[name]) if name in document else "nothing")


def _described(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else f"list of {len(value)}"
    text = json.dumps(value[:_MOST_GOT] if isinstance(value, str) else value)
    return f"string {text}" if isinstance(value, str) else text[:_MOST_GOT]

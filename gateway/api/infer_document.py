"""The JSON of an inference request, decoded; large lists of numbers are NumberBlocks where they are the data of an input."""

from typing import Any

from gateway.api import hollow, json_dialect, number_block
from gateway.api.number_block import NumberBlock


def parse(body: bytes) -> Any:
    """As ``json_dialect.parse``, but for the data of inputs. Raises InvalidArgument."""
    document = hollow.parse(body)
    if document is None or _data_blocks(document) != number_block.count(document):
        return json_dialect.parse(body)
    return document


def _data_blocks(document: dict[str, Any]) -> int:
    inputs = document.get("inputs")
    if not isinstance(inputs, list):
        return 0
    return sum(isinstance(item, dict) and isinstance(item.get("data"), NumberBlock) for item in inputs)

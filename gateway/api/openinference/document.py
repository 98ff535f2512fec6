"""The JSON of an inference request, decoded; large lists of numbers are NumberBlocks where they are the data of an input."""

from typing import Any

from gateway.codec import json_text, large_json, number_block
from gateway.codec.number_block import NumberBlock


def parse(body: bytes) -> Any:
    """As ``json_text.parse``, but for the data of inputs. Raises InvalidArgument."""
    document = large_json.parse(body)
    if document is None or _data_blocks(document) != number_block.count(document):
        return json_text.parse(body)
    return document


def _data_blocks(document: dict[str, Any]) -> int:
    inputs = document.get("inputs")
    if not isinstance(inputs, list):
        return 0
    return sum(isinstance(item, dict) and isinstance(item.get("data"), NumberBlock) for item in inputs)

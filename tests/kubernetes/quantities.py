"""Kubernetes' quantities of memory."""

import re

_UNITS = {"Mi": 1 << 20, "Gi": 1 << 30}


def bytes_of(quantity: str) -> int:
    """``256Mi`` and ``3Gi`` in bytes; no other units are used here."""
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", quantity).groups()
    return int(number) * _UNITS[unit]

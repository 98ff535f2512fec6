"""JSON documents compared by value: white space, the order of keys and the spelling of numbers are free."""

import json

import numpy as np


def assert_same_json(expected: str, got: bytes, dtypes: dict[str, str]) -> None:
    """``dtypes`` are those of the outputs by name; with one output, every number is of its dtype. Without any, 1 is not 1.0."""
    difference = _difference(json.loads(expected), json.loads(got), dtypes, "")
    assert difference is None, f"{difference}\n  expected {expected[:500]}\n  got {got.decode()[:500]}"


def same_array(expected: np.ndarray, got: np.ndarray) -> bool:
    """Equal dtype, shape and values; NaN equals NaN, and 0.0 is not -0.0."""
    if expected.dtype != got.dtype or expected.shape != got.shape:
        return False
    if expected.dtype.kind not in "fVc":
        return bool((expected == got).all())
    return all(map(_same_float, expected.ravel().tolist(), got.ravel().tolist()))


def _difference(expected, got, dtypes: dict[str, str], place: str) -> str | None:
    if isinstance(expected, dict) and isinstance(got, dict) and expected.keys() == got.keys():
        of = {name: {name: dtypes[name]} for name in dtypes} if expected.keys() == dtypes.keys() else {}
        parts = [(f"{place}/{key}", expected[key], got[key], of.get(key, dtypes)) for key in expected]
    elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        parts = [(f"{place}/{index}", *pair, dtypes) for index, pair in enumerate(zip(expected, got, strict=True))]
    else:
        same = _same_scalar(expected, got, next(iter(dtypes.values())) if len(dtypes) == 1 else None)
        return None if same else f"{place or '(document)'}: expected {expected!r:.200}, got {got!r:.200}"
    return next((found for where, one, other, of in parts if (found := _difference(one, other, of, where))), None)


def _same_scalar(expected, got, dtype: str | None) -> bool:
    if not _is_number(expected) or not _is_number(got) or dtype is None:
        return type(expected) is type(got) and expected == got
    if dtype in ("DT_FLOAT", "DT_DOUBLE"):
        kind = np.float32 if dtype == "DT_FLOAT" else np.float64
        return _same_float(float(kind(expected)), float(kind(got)))
    return isinstance(got, int) and got == expected


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same_float(expected, got) -> bool:
    if np.isnan(expected) or np.isnan(got):
        return bool(np.isnan(expected) and np.isnan(got))
    return expected == got and np.signbit(np.real(expected)) == np.signbit(np.real(got))

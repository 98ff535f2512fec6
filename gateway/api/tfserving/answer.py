"""What classifiers and regressors answer -> JSON bytes, as ``util/json_tensor.cc`` has them: both under ``results``."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from gateway.api import tensor_json
from gateway.api.tensor_json import NonFinite
from gateway.errors import InvalidArgument
from gateway.inference.examples import Classifications, Regressions


def dump_classifications(answer: Classifications, non_finite: NonFinite) -> bytes:
    """``{"results": [[[label, score], ...], ...]}``, scores as short as float32 allows.

    Raises InvalidArgument with upstream's text when there is no result, OutOfRange as ``tensor_json.floats``.
    """
    if not answer.rows:
        raise InvalidArgument("Cannot convert empty ClassificationResults to JSON")
    return _dump([_labelled(row, non_finite) for row in answer.rows])


def dump_regressions(answer: Regressions, non_finite: NonFinite) -> bytes:
    """``{"results": [value, ...]}``. Raises as ``dump_classifications``."""
    if not len(answer.values):
        raise InvalidArgument("Cannot convert empty RegressionResults to JSON")
    return _dump(tensor_json.floats("results", answer.values, non_finite))


def _labelled(row: Sequence[tuple[str, float]], non_finite: NonFinite) -> list[Any]:
    scores = np.array([score for _, score in row], dtype=np.float32)
    if np.isfinite(scores).all():
        return [[label, score] for (label, _), score in zip(row, scores, strict=True)]
    return [[label, tensor_json.floats("results", score, non_finite)] for (label, _), score in zip(row, scores, strict=True)]


def _dump(results: Any) -> bytes:
    return orjson.dumps({"results": results}, option=orjson.OPT_SERIALIZE_NUMPY)

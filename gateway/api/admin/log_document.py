"""A row of the prediction log for ``GET /admin/log``: as ``log tail --json`` shows it, but exact for a browser, and bounded.

A browser's numbers hold whole numbers up to 2**53 only: larger ones are strings. Strings that are not UTF-8 are
``{"b64": ...}``, as TensorFlow Serving writes bytes. A tensor that is large, or for which an answer has no room any more, is
its summary.
"""

import base64
from typing import Any, Final

import numpy as np

from gateway.prediction_log.documents import row_document
from gateway.prediction_log.row import PredictionRow
from gateway.prediction_log.tensors import Array, Summarised, summarised

MOST_ELEMENTS: Final = 4096
"""Of a tensor that is shown whole; a string counts as one more for each 8 of its bytes."""

_ROOM: Final = 100_000  # elements of an answer
_BYTES_OF_ELEMENT: Final = 8
_MOST_EXACT: Final = 2**53
_VALUES: Final = ("inputs", "outputs")


class Documents:
    """Makes the rows of one answer. ``with_values``: with inputs and outputs, and the digest by which inputs can be guessed."""

    def __init__(self, *, with_values: bool) -> None:
        self._with_values = with_values
        self._room = _ROOM

    def of(self, row: PredictionRow) -> dict[str, Any]:
        """The row, ready for ``json_text``."""
        if not self._with_values:
            row.inputs = row.outputs = row.digest = None
        document = row_document(row)
        for name in _VALUES:
            if document[name]:
                document[name] = {key: self._shown(tensor) for key, tensor in document[name].items()}
        return document

    def _shown(self, tensor: Array | Summarised) -> Any:
        if isinstance(tensor, Summarised):
            return tensor
        size = _size(tensor)
        if size > min(MOST_ELEMENTS, self._room):
            return summarised(tensor)
        self._room -= size
        return _exact(tensor)


def _size(array: Array) -> int:
    texts = sum(map(len, array.ravel().tolist())) if array.dtype.hasobject else 0
    return array.size + texts // _BYTES_OF_ELEMENT


def _exact(array: Array) -> Any:
    """``array``, or what of it JSON's readers would change as strings."""
    if array.dtype.hasobject:
        shown = [_text(one) for one in array.ravel().tolist()]
    elif array.dtype.kind in "iu" and array.dtype.itemsize == np.dtype(np.int64).itemsize:
        shown = [one if -_MOST_EXACT <= one <= _MOST_EXACT else str(one) for one in array.ravel().tolist()]
    else:
        return array
    elements = np.empty(len(shown), object)
    elements[:] = shown
    return elements.reshape(array.shape).tolist()


def _text(content: bytes) -> str | dict[str, str]:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(content).decode()}

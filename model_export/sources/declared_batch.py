"""Whether the fixed batch size of a Keras model was declared, or only stems from the example that the model was called on.

A Sequential model without an Input makes one for itself when it is called or fitted, with the batch size of that call.
"""

import re

import tensorflow as tf

# What Keras calls an input that nobody named.
_AUTOMATIC_NAME = re.compile(r"input_layer(_\d+)?")


def is_declared(model: tf.keras.Model) -> bool:
    """Whether the batch size of a model that knows its inputs is meant: by an Input, by build(), or by a stateful layer.

    A file does not tell who made an input without a name of its own. Such a size is taken for an example's: a model without
    stateful layers answers rows in any number alike.
    """
    if not isinstance(model, tf.keras.Sequential) or stateful_layers(model):
        return True
    given, first = model._layers[0], model._layers[1]
    if not _AUTOMATIC_NAME.fullmatch(given.name) or _is_made_by_hand(model, given):
        return True
    return isinstance(first, tf.keras.Model) and _has_fixed_batch(first) and is_declared(first)


def stateful_layers(model: tf.keras.Model) -> list[str]:
    """Return the names of the layers that keep a state for each row of a batch of one size."""
    return [layer.name for layer in model._flatten_layers() if getattr(layer, "stateful", False)]


def _is_made_by_hand(model: tf.keras.Model, given: tf.keras.layers.Layer) -> bool:
    """Whether an input of a Sequential model is surely not one that it made for itself from an example."""
    made = getattr(given._auto_config, "config", {})  # the arguments that the input was made with
    is_from_file = made.get("sparse") is not None
    by_itself = made.get("batch_shape") is not None and made.get("dtype") is not None
    return not by_itself or not (is_from_file or model._called)


def _has_fixed_batch(model: tf.keras.Model) -> bool:
    return any(tensor.shape[0] is not None for tensor in getattr(model, "inputs", None) or [])

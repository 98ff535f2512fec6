"""Keras models as SavedModels that a session can load.

Goes through Keras' ExportArchive: with Keras 3, `tf.saved_model.save` on an object that holds a Keras model writes every
variable under a second handle, which the TF1 loader, and so TensorFlow Serving, then finds uninitialized.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from model_export.diagnosis.causes import cause
from model_export.errors import ExportError
from model_export.sources import aliases
from model_export.sources.declared_batch import is_declared, stateful_layers

Endpoint = tuple[Callable[..., Any], list[tf.TensorSpec]]


def save(model: tf.keras.Model, endpoints: Mapping[str, Endpoint], folder: Path) -> None:
    """Write a SavedModel with these signatures: name -> (function of the model, its inputs, each with its name).

    The names may be any text.
    """
    archive = tf.keras.export.ExportArchive()
    archive.track(model)
    kept = {}
    for name, (function, inputs) in endpoints.items():
        specs, kept[name] = aliases.traceable(inputs)
        archive.add_endpoint(name, function, input_signature=specs)
    archive.write_out(str(folder), verbose=False)
    aliases.restore(folder, kept)


def save_as_is(model: tf.keras.Model, folder: Path) -> None:
    """Write a SavedModel whose `serving_default` calls the model with the shapes that it declares, a fixed batch size included.

    The batch size of an example that the model was called on is none that it declares: dimension 0 is free then.

    Inputs are named as in the model, outputs by their keys or else by the layers that make them; a subclassed model,
    which names neither, gets Keras' own names. Raises ExportError for a model that was never built or cannot be traced, and
    for one whose fixed batch size is declared nowhere.
    """
    try:
        if getattr(model, "inputs", None):
            save(model, {"serving_default": _call_endpoint(model)}, folder)
        else:
            _require_free_batch(model)
            model.export(str(folder), verbose=False)
    except (OSError, ExportError, tf.errors.OpError):
        raise
    except Exception as error:  # tracing runs the code of the model's layers, which can fail in any way
        raise ExportError(f"the Keras model cannot be exported: {cause(error)}") from error


def make_loadable(module: tf.Module) -> None:
    """Let the TF1 loader restore the Keras variables that the module and its submodules hold as attributes."""
    holders = (module, *getattr(module, "submodules", ()))
    values = [value for holder in holders for value in tf.nest.flatten(list(vars(holder).values()))]
    layers = [value for value in values if isinstance(value, tf.keras.layers.Layer)]
    if layers:
        module.keras_variables = [variable.value for layer in layers for variable in layer.variables]


def _call_endpoint(model: tf.keras.Model) -> Endpoint:
    structure = model.inputs[0] if isinstance(model, tf.keras.Sequential) else model.input

    def call(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        arguments = tf.nest.pack_sequence_as(structure, list(tensors))
        return dict(_named_outputs(model, model(arguments, training=False)))

    declared = is_declared(model)
    inputs = [(tensor, tensor.shape if declared else (None, *tensor.shape[1:])) for tensor in tf.nest.flatten(structure)]
    return call, [tf.TensorSpec(shape, tensor.dtype, tensor.name) for tensor, shape in inputs]


def _require_free_batch(model: tf.keras.Model) -> None:
    """Refuse a model without declared inputs whose layers keep a state for each row of a batch of one size."""
    stateful = stateful_layers(model)
    if stateful:
        raise ExportError(
            f"the batch size that layer {stateful[0]} is stateful for cannot be kept, because the model does not declare its"
            " inputs; make it of keras.Input(batch_shape=(...)), as a functional or sequential model"
        )


def _named_outputs(model: tf.keras.Model, outputs: Any) -> Iterator[tuple[str, tf.Tensor]]:
    if isinstance(outputs, Mapping):
        yield from outputs.items()
        return
    tensors = tf.nest.flatten(outputs)
    names = getattr(model, "output_names", None) or [model.layers[-1].name]
    if len(set(names)) != len(tensors):
        names = [f"output_{position}" for position in range(len(tensors))]
    yield from zip(names, tensors, strict=True)

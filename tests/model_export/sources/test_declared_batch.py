"""The batch size of a Keras model stays where it was declared, and is free where an example only happened to have it."""

import numpy as np
import pytest
import tensorflow as tf

from model_export.saved_model import read_signatures
from model_export.sources.keras_export import save_as_is

# Keras 3.15 converts its variables to numpy 2 arrays in a way that numpy tells it to change.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")

layers = tf.keras.layers
ROWS = np.ones((5, 4), np.float32)


def sequential(*before):
    return tf.keras.Sequential([*before, layers.Dense(3), layers.Dense(1)])


def called_on(rows):
    model = sequential()
    model(ROWS[:rows])
    return model


def predicted():
    model = sequential()
    model.predict(ROWS, verbose=0)
    return model


def fitted():
    model = sequential()
    model.compile("sgd", "mse")
    model.fit(np.ones((8, 4)), np.ones((8, 1)), batch_size=4, verbose=0)
    return model


def called_inside_another():
    model = tf.keras.Sequential([sequential(), layers.Dense(2)])
    model(ROWS)
    return model


def and_called(model, rows=2):
    model(ROWS[:rows])
    return model


def subclassed():
    class Subclassed(tf.keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = sequential()

        def call(self, x):
            return self.inner(x)

    return and_called(Subclassed())


def built():
    model = sequential()
    model.build((2, 4))
    return model


def functional():
    given = tf.keras.Input((4,), batch_size=2)
    return tf.keras.Model(given, layers.Dense(1)(given))


def around_a_functional():
    return and_called(tf.keras.Sequential([functional(), layers.Dense(1)]))


def stateful():
    model = tf.keras.Sequential([layers.Reshape((4, 1)), layers.LSTM(3, stateful=True)])
    return and_called(model)


FREE = {
    "called on one row": lambda: called_on(1),
    "called on five": lambda: called_on(5),
    "predicted": predicted,
    "fitted": fitted,
    "inside another": called_inside_another,
    "subclassed": subclassed,
    "declared as free and called": lambda: and_called(sequential(tf.keras.Input((4,)))),
}
FIXED = {
    "batch_shape": lambda: sequential(tf.keras.Input(batch_shape=(2, 4))),
    "batch_size": lambda: sequential(tf.keras.Input((4,), batch_size=2)),
    "with its dtype": lambda: sequential(tf.keras.Input(batch_shape=(2, 4), dtype="float32")),
    "and called": lambda: and_called(sequential(tf.keras.Input(batch_shape=(2, 4)))),
    "an InputLayer": lambda: and_called(sequential(layers.InputLayer(batch_shape=(2, 4)))),
    "with its name": lambda: and_called(sequential(tf.keras.Input(batch_shape=(2, 4), dtype="float32", name="x"))),
    "built": built,
    "functional": lambda: and_called(functional()),
    "around a functional one": around_a_functional,
    "stateful": stateful,
}


def batch_size(model, folder):
    folder.mkdir()
    save_as_is(model, folder)
    signature = next(known for known in read_signatures(folder) if known.name == "serving_default")
    return {tensor.shape[0] for tensor in (*signature.inputs, *signature.outputs)}


def through_a_file(model, path):
    model.save(path)
    return tf.keras.models.load_model(path, compile=False)


@pytest.mark.parametrize("make", FREE.values(), ids=FREE)
def test_the_batch_size_of_an_example_is_no_declaration(tmp_path, make):
    assert batch_size(make(), tmp_path / "saved") == {None}


@pytest.mark.parametrize("name", ["called on one row", "predicted", "fitted", "inside another"])
def test_nor_is_it_in_a_file(tmp_path, name):
    assert batch_size(through_a_file(FREE[name](), tmp_path / "m.keras"), tmp_path / "saved") == {None}


@pytest.mark.parametrize("make", FIXED.values(), ids=FIXED)
def test_a_declared_batch_size_stays(tmp_path, make):
    assert batch_size(make(), tmp_path / "saved") == {2}


@pytest.mark.parametrize("name", ["with its name", "functional", "around a functional one", "stateful"])
def test_a_declared_batch_size_stays_in_a_file(tmp_path, name):
    assert batch_size(through_a_file(FIXED[name](), tmp_path / "m.keras"), tmp_path / "saved") == {2}


def test_a_model_called_on_one_row_answers_many(tmp_path, load):
    model = called_on(1)
    save_as_is(model, tmp_path)

    [signature] = read_signatures(tmp_path)
    [answer] = load(tmp_path)("serving_default", **{signature.inputs[0].name: ROWS}).values()
    np.testing.assert_allclose(answer, model(ROWS), rtol=1e-5)

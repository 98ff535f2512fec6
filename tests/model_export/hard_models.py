"""Models for tests that are valid but that few inputs suit, and models whose rows depend on each other."""

import tensorflow as tf

Spec = tf.TensorSpec


def _module(function, *specs, **attributes):
    module = tf.Module()
    for name, value in attributes.items():
        setattr(module, name, value)
    module.function = tf.function(function, input_signature=list(specs))
    return module, {"serving_default": module.function}


def _checked(condition, tensor):
    with tf.control_dependencies([tf.debugging.assert_equal(condition, True)]):
        return {"y": tf.identity(tensor)}


def inverse():
    return _module(lambda m: {"y": tf.linalg.inv(m)}, Spec([None, 2, 2], tf.float32, name="m"))


def solve():
    specs = Spec([None, 3, 3], tf.float32, name="a"), Spec([None, 3, 1], tf.float32, name="b")
    return _module(lambda a, b: {"y": tf.linalg.solve(a, b)}, *specs)


def cholesky_of_any_size():
    return _module(lambda m: {"y": tf.linalg.cholesky(m)}, Spec([None, None, None], tf.float64, name="m"))


def probabilities():
    return _module(
        lambda p: _checked(tf.reduce_all(abs(tf.reduce_sum(p, -1) - 1) < 1e-3), p), Spec([None, 4], tf.float32, name="p")
    )


def increasing():
    return _module(
        lambda x: _checked(tf.reduce_all(x[:, 1:] > x[:, :-1]), x),
        Spec([None, 3], tf.float32, name="x"),
    )


def rows_in_pairs():
    return _module(lambda x: {"y": tf.reshape(x, [2, 3])}, Spec([None, 3], tf.float32, name="x"))


def rows_in_eights():
    return _module(lambda x: {"y": tf.reshape(x, [-1, 8, 3])}, Spec([None, 3], tf.float32, name="x"))


def inner_size_of_7():
    return _module(lambda x: {"y": x @ tf.ones([7, 2])}, Spec([None, None], tf.float32, name="x"))


def two_inner_sizes():
    specs = Spec([None, None], tf.float32, name="a"), Spec([None, None], tf.float32, name="b")
    return _module(lambda a, b: {"y": a @ tf.ones([3, 2]) + b @ tf.ones([5, 2])}, *specs)


def image_and_text():
    def read(image, text):
        pixels = tf.map_fn(lambda png: tf.reduce_mean(tf.image.decode_png(png, 1)), image, fn_output_signature=tf.uint8)
        return {"pixels": pixels, "number": tf.strings.to_number(text)}

    return _module(read, Spec([None], tf.string, name="image"), Spec([None], tf.string, name="text"))


def sound():
    def read(wav):
        return {"y": tf.map_fn(lambda w: tf.reduce_mean(tf.audio.decode_wav(w)[0]), wav, fn_output_signature=tf.float32)}

    return _module(read, Spec([None], tf.string, name="wav"))


def sparse_parts():
    def total(indices, values, dense_shape):
        return {"y": tf.sparse.reduce_sum(tf.SparseTensor(indices, values, dense_shape), 1)}

    specs = Spec([None, 2], tf.int64, name="indices"), Spec([None], tf.float32, name="values")
    return _module(total, *specs, Spec([2], tf.int64, name="dense_shape"))


def two_sparse_tensors():
    def both(*parts):
        product = tf.sparse.sparse_dense_matmul(tf.SparseTensor(*parts[:3]), tf.ones([7, 2]))
        return {"y": product, "z": tf.sparse.to_dense(tf.SparseTensor(*parts[3:]))}

    specs = []
    for indices, values, shape, depth in (("i", "v", "s", 2), ("j", "w", "t", 3)):
        specs += [Spec([None, depth], tf.int64, name=indices), Spec([None], tf.float32, name=values)]
        specs += [Spec([depth], tf.int64, name=shape)]
    return _module(both, *specs)


def sparse_spec():
    """tf.function takes the tensor apart into x, x_1 and x_2."""
    spec = tf.SparseTensorSpec([None, 7], tf.float32)
    return _module(lambda x: {"y": tf.sparse.sparse_dense_matmul(x, tf.ones([7, 2]))}, spec)


def _sums(ragged):
    return {"y": tf.reduce_sum(ragged, -1)}


def ragged_by_splits():
    specs = Spec([None], tf.float32, name="values"), Spec([None], tf.int64, name="row_splits")
    return _module(lambda values, row_splits: _sums(tf.RaggedTensor.from_row_splits(values, row_splits)), *specs)


def ragged_by_splits_without_names():
    specs = Spec([None], tf.float32, name="a"), Spec([None], tf.int32, name="b")
    return _module(lambda a, b: _sums(tf.RaggedTensor.from_row_splits(a, b)), *specs)


def ragged_twice():
    def dense(v, outer_splits, inner_splits):
        return {"y": tf.RaggedTensor.from_nested_row_splits(v, [outer_splits, inner_splits]).to_tensor()}

    specs = [Spec([None], tf.int64, name=name) for name in ("outer_splits", "inner_splits")]
    return _module(dense, Spec([None], tf.float32, name="v"), *specs)


def ragged_by_rowids():
    specs = Spec([None], tf.int64, name="value_rowids"), Spec([], tf.int64, name="nrows")
    return _module(
        lambda v, value_rowids, nrows: _sums(tf.RaggedTensor.from_value_rowids(v, value_rowids, nrows)),
        Spec([None], tf.float32, name="v"),
        *specs,
    )


def ragged_by_lengths():
    specs = Spec([None], tf.float32, name="v"), Spec([None], tf.int64, name="lengths")
    return _module(lambda v, lengths: _sums(tf.RaggedTensor.from_row_lengths(v, lengths)), *specs)


def ragged_spec():
    return _module(_sums, tf.RaggedTensorSpec([None, None], tf.float32))


def only_one_number():
    return _module(lambda x: _checked(tf.reduce_all(tf.equal(x, 12345.5)), x), Spec([None], tf.float32, name="x"))


# Rows that depend on each other, or not.


def twice():
    return _module(lambda x: {"y": x * 2}, Spec([None, 3], tf.float32, name="x"))


def of_unknown_rank():
    return _module(lambda x: {"y": x * 2}, Spec(None, tf.float32, name="x"))


def upper():
    return _module(lambda x: {"y": tf.strings.upper(x)}, Spec([None], tf.string, name="x"))


def embedding():
    return _module(lambda x: {"y": tf.gather(tf.reshape(tf.range(8.0), [4, 2]), x)}, Spec([None, None], tf.int32, name="x"))


def half_softmax():
    return _module(lambda x: {"y": tf.nn.softmax(x)}, Spec([None, 30], tf.bfloat16, name="x"))


def found():
    flat = lambda x: tf.reshape(x, [-1])  # noqa: E731
    return _module(lambda x: {"found": tf.boolean_mask(flat(x), flat(x) > 0.5)}, Spec([None, 2], tf.float32, name="x"))


def labelled():
    return _module(lambda x: {"scores": x, "labels": tf.constant(["cat", "dog"])}, Spec([None, 1], tf.float32, name="x"))


def constant_of_one_row():
    labels = lambda: tf.raw_ops.PlaceholderWithDefault(input=["a"], shape=[None])  # noqa: E731
    return _module(lambda x: {"y": x, "labels": labels()}, Spec([None, 1], tf.float32, name="x"))


def constant_of_two_rows():
    labels = lambda: tf.raw_ops.PlaceholderWithDefault(input=["a", "b"], shape=[None])  # noqa: E731
    return _module(lambda x: {"y": x, "labels": labels()}, Spec([None, 1], tf.float32, name="x"))


def distinct():
    return _module(lambda x: {"y": tf.unique(x)[0]}, Spec([None], tf.int64, name="x"))


def cumulative_sum():
    return _module(lambda x: {"y": tf.cumsum(x)}, Spec([None, 3], tf.float32, name="x"))


def softmax_over_the_batch():
    return _module(lambda x: {"y": tf.nn.softmax(x, axis=0)}, Spec([None, 3], tf.float32, name="x"))


def sorted_rows():
    return _module(lambda x: {"y": tf.sort(x, axis=0)}, Spec([None], tf.float32, name="x"))


def normalised_by_the_batch():
    def normalise(x):
        mean, variance = tf.nn.moments(x, [0])
        return {"y": tf.nn.batch_normalization(x, mean, variance, None, None, 1e-3)}

    return _module(normalise, Spec([None, 3], tf.float32, name="x"))


def dropout():
    return _module(lambda x: {"y": tf.nn.dropout(x, 0.5)}, Spec([None, 8], tf.float32, name="x"))


def mean_of_all():
    return _module(lambda x: {"y": tf.reduce_mean(x)}, Spec([None, 1], tf.float32, name="x"))


def without_inputs():
    return _module(lambda: {"y": tf.constant([1.0])})


def only_as_a_scalar():
    return _module(lambda n: {"y": tf.boolean_mask([tf.ensure_shape(n, [])], [True])}, Spec(None, tf.float32, name="n"))


def fixed_batch():
    return _module(lambda x: {"y": x * 2}, Spec([4, 3], tf.float32, name="x"))


# What no server can call.


def ragged_output():
    return _module(lambda x: {"tokens": tf.strings.split(x)}, Spec([None], tf.string, name="x"))


def sparse_output():
    return _module(lambda x: {"cells": tf.sparse.from_dense(x)}, Spec([None, 2], tf.float32, name="x"))


def variant_output():
    return _module(
        lambda x: {"data": tf.data.experimental.to_variant(tf.data.Dataset.from_tensors(x))}, Spec([None], tf.float32, name="x")
    )


def resource_input():
    return _module(lambda x: {"y": tf.raw_ops.ReadVariableOp(resource=x, dtype=tf.float32)}, Spec([], tf.resource, name="x"))


def python_function():
    return _module(lambda x: {"y": tf.py_function(lambda a: a * 2, [x], tf.float32)}, Spec([None], tf.float32, name="x"))


def python_function_in_a_map():
    def mapped(x):
        return {"y": tf.map_fn(lambda row: tf.numpy_function(lambda a: a * 2, [row], tf.float32), x)}

    return _module(mapped, Spec([None], tf.float32, name="x"))


def one_signature_of_two_is_ragged():
    module, signatures = ragged_output()
    module.plain = tf.function(lambda x: {"y": x}, input_signature=[Spec([None], tf.string, name="x")])
    return module, {**signatures, "plain": module.plain}


# What cannot be saved.


def untracked_table():
    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(["a"], [1]), -1)
    return _module(lambda x: {"y": table.lookup(x)}, Spec([None], tf.string, name="x"))


def untracked_variable():
    scale = tf.Variable(2.0, name="my_scale")
    return _module(lambda x: {"y": scale * x}, Spec([None], tf.float32, name="x"))


def unnameable_input():
    return _module(lambda x: {"y": x * 2}, Spec([None], tf.float32, name="sepal length (cm)"))


def signature_without_specs():
    return tf.Module(), {"serving_default": tf.function(lambda x: x)}


def gives_a_python_list():
    return _module(lambda x: {"y": [x]}, Spec([None], tf.float32, name="x"))


def stateful_without_declared_inputs():
    class Stateful(tf.keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.memory = tf.keras.layers.LSTM(2, stateful=True, name="memory")

        def call(self, x):
            return self.memory(x)

    model = Stateful()
    model(tf.zeros((4, 5, 3)))
    return model


def lambda_with_untracked_table():
    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(["a"], [1]), -1)
    word = tf.keras.Input((), dtype="string", name="word")
    return tf.keras.Model(word, tf.keras.layers.Lambda(table.lookup, output_shape=(), name="look")(word))


def gives_none() -> None:
    """Forget the return statement."""


def gives_a_class() -> type:
    return tf.Module


def gives_a_path() -> str:
    return "model.keras"


def gives_a_function():
    return tf.function(lambda x: x)


def wants_arguments(size):
    return size


def raises_two_lines():
    raise RuntimeError("\n\nthe first line\nthe second line")


class RaisesWithoutText(Exception):
    """Say nothing."""


def raises_without_text():
    raise RaisesWithoutText


def imports_what_is_missing():
    import no_such_module_at_all  # noqa: F401


def exits_with_text():
    raise SystemExit("usage: train.py DATA")


def recurses():
    return recurses()


NOT_A_FUNCTION = 5


def module_without_specs():
    """Carry a function that was traced for nothing yet."""

    class Module(tf.Module):
        @tf.function
        def __call__(self, x):
            return x * 2

    return Module()

"""Models for tests to publish: small ones that work, and one for each way in which a model can be wrong."""

import tensorflow as tf


def keras_two_inputs() -> tf.keras.Model:
    """Take numbers and words, and give two outputs."""
    amount = tf.keras.Input((3,), name="amount")
    word = tf.keras.Input((), dtype="string", name="word")
    index = tf.keras.layers.StringLookup(vocabulary=["a", "b"])(word)
    score = tf.keras.layers.Dense(1, name="score")(amount)
    embedding = tf.keras.layers.Embedding(4, 2, name="embedding")(index)
    return tf.keras.Model([amount, word], [score, embedding])


def keras_stateful() -> tf.keras.Model:
    """Remember four sequences, so that every request must have four rows."""
    layers = [tf.keras.layers.LSTM(4, stateful=True), tf.keras.layers.Dense(1, name="next")]
    return tf.keras.Sequential([tf.keras.Input(batch_shape=(4, 5, 3), name="steps"), *layers])


def keras_named(*names: str) -> tf.keras.Model:
    """Give each of three numbers, weighted by the position of its input, to one output."""
    inputs = [tf.keras.Input((3,), name=name) for name in names]
    weighted = [tf.keras.layers.Rescaling(10.0**position)(given) for position, given in enumerate(inputs)]
    return tf.keras.Model(inputs, tf.keras.layers.Add(name="sum")(weighted) if len(weighted) > 1 else weighted[0])


def keras_sequential() -> tf.keras.Model:
    """Double its three inputs."""
    double = tf.keras.layers.Rescaling(2.0, name="doubled")
    return tf.keras.Sequential([tf.keras.Input((3,), name="number"), double])


class Subclassed(tf.keras.Model):
    """A model that names neither its inputs nor its outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = tf.keras.layers.Dense(2)

    def call(self, x):
        return self.layer(x)


def keras_subclassed() -> tf.keras.Model:
    """Call it once, so that it knows its input shape."""
    model = Subclassed()
    model(tf.zeros((3, 4)))
    return model


def keras_unbuilt() -> tf.keras.Model:
    """Never called: nobody knows what it takes."""
    return Subclassed()


class Counter(tf.Module):
    """Count calls, and look without counting."""

    def __init__(self) -> None:
        super().__init__()
        self.count = tf.Variable(0)

    @tf.function(input_signature=[])
    def increment(self):
        return {"count": self.count.assign_add(1)}

    @tf.function(input_signature=[])
    def look(self):
        return {"count": tf.identity(self.count)}


def counter():
    """Return the counter with a signature for each of its functions."""
    module = Counter()
    return module, {"increment": module.increment, "look": module.look}


class Scaler(tf.Module):
    """Multiply by a variable."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = tf.Variable(3.0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def scale(self, x):
        return {"scaled": self.factor * x}


def module_with_signatures() -> Scaler:
    """Carry the signatures as an attribute."""
    module = Scaler()
    module.signatures = {"serving_default": module.scale}
    return module


def module_and_signatures():
    """Return the pair that tf.saved_model.save takes."""
    module = Scaler()
    return module, {"scale": module.scale}


def module_holding_keras():
    """Call a Keras model from a tf.Module: saved naively, its variables come up uninitialized in a server."""
    module = tf.Module()
    module.network = keras_sequential_with_weights()
    inputs = [tf.TensorSpec([None, 3], tf.float32, name="x")]
    return module, {"serving_default": tf.function(lambda x: {"y": module.network(x)}, input_signature=inputs)}


def keras_sequential_with_weights() -> tf.keras.Model:
    """Add its three inputs, through a trained-looking layer."""
    return tf.keras.Sequential([tf.keras.Input((3,)), tf.keras.layers.Dense(1, kernel_initializer="ones")])


def _module(function, *specs):
    return tf.Module(), {"serving_default": tf.function(function, input_signature=list(specs))}


def picky_about_text():
    """Take only a text that nobody would guess."""

    def check(text):
        with tf.control_dependencies([tf.debugging.assert_equal(text, "xyzzy")]):
            return {"same": tf.identity(text)}

    return _module(check, tf.TensorSpec([None], tf.string, name="text"))


def fails_on_numbers():
    """Fail whatever it is given."""

    def fail(x):
        with tf.control_dependencies([tf.debugging.assert_less(x, -1e9, message="always too large")]):
            return {"y": tf.identity(x)}

    return _module(fail, tf.TensorSpec([None], tf.float32, name="x"))


def needs_large_images():
    """Refuse images under 16 pixels in either direction, of a size that the signature leaves open."""

    def crop(image):
        return {"crop": tf.image.crop_to_bounding_box(image, 0, 0, 16, 16)}

    return _module(crop, tf.TensorSpec([None, None, None, 3], tf.float32, name="image"))


def divides_by_integers():
    """Fail for zero."""
    return _module(lambda n: {"q": 12 // n}, tf.TensorSpec([None], tf.int32, name="n"))


def takes_a_scalar():
    """Refuse anything but a scalar, which the signature does not tell."""
    return _module(lambda n: {"n": tf.ensure_shape(n, [])}, tf.TensorSpec(None, tf.float32, name="n"))


def parses_examples():
    """Read features of three kinds and several values, without defaults, from serialized examples."""
    features = {
        "word": tf.io.FixedLenFeature([2], tf.string),
        "count": tf.io.FixedLenFeature([], tf.int64),
        "ratio": tf.io.FixedLenFeature([2, 3], tf.float32),
    }

    def parse(examples):
        parsed = tf.io.parse_example(examples, features)
        return {"sum": tf.reduce_sum(parsed["ratio"], axis=[1, 2]) + tf.cast(parsed["count"], tf.float32)}

    return _module(parse, tf.TensorSpec([None], tf.string, name="examples"))


def without_signatures() -> tf.Module:
    """Offer nothing to call."""
    return tf.Module()


def not_a_model() -> int:
    """Return something else."""
    return 42


def leaves() -> None:
    """Exit like a script without a main guard."""
    raise SystemExit(0)


def talkative() -> tf.keras.Model:
    """Print while it works, as training does."""
    print("epoch 1")
    return keras_sequential()


def raises() -> None:
    """Fail like a training script with a bug."""
    raise ZeroDivisionError("learning rate / 0")


def keeps_a_sum():
    """Add up all that it is ever sent."""
    module = tf.Module()
    module.total = tf.Variable(0.0)

    def add(x):
        module.total.assign_add(tf.reduce_sum(x))
        return {"total": x * 0 + module.total}

    module.add = tf.function(add, input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    return module, {"serving_default": module.add}


def two_signatures():
    """Offer two things to call."""
    module = tf.Module()
    spec = [tf.TensorSpec([None], tf.float32, name="x")]
    module.scale = tf.function(lambda x: {"y": x * 3}, input_signature=spec)
    module.negate = tf.function(lambda x: {"y": -x}, input_signature=spec)
    return module, {"scale": module.scale, "negate": module.negate}


def leaks_above_100():
    """Let a number above 100 change all that are asked together with it."""
    spec = [tf.TensorSpec([None], tf.float32, name="x")]
    return _module(lambda x: {"y": tf.where(tf.reduce_max(x) > 150, x + 1 - tf.cast(x > 150, tf.float32), x)}, *spec)

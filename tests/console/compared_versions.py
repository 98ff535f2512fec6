"""Two versions that differ in few rows, and those rows; importing it loads no TensorFlow."""

MODEL = "compared"
"""The name of the model."""

OLD, NEW = 1, 2
"""NEW answers as OLD does, but for the rows of these first numbers."""

PLANTED = 42.0
"""NEW adds 1e-3 to the first number of ``y``."""

NEW_CLASS = 43.0
"""NEW gives ``scores`` whose largest is another one."""

ONE_MORE = 2**53 + 44
"""NEW adds 1 to a ``count`` of this."""

BROKEN_IN_NEW = 45.0
"""NEW refuses the whole request."""

NOT_A_NUMBER = 46.0
"""Both answer NaN."""

ONLY_NEW_NOT_A_NUMBER = 47.0
"""NEW answers NaN, and OLD a number."""

KINDS = {
    "x": [1.5, -2.0],
    "count": 7,
    "word": 'Wörter, “quoted” "and"\nnew lines',
    "f32": 0.1,
    "f64": 0.1,
    "i8": -3,
    "i16": -300,
    "i32": -70000,
    "u8": 200,
    "u32": 4000000000,
    "u64": 2**63 + 1,
    "on": True,
}
"""An instance of the signature ``kinds``."""

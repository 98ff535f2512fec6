"""The cause of a failure is told, whatever line of the library's text it is in, with the way out."""

import pytest

from model_export.diagnosis.causes import cause

KERAS = """<class 'keras.src.models.sequential.Sequential'> could not be deserialized properly. Please ensure ...

config={'module': 'keras', 'class_name': 'Sequential'}.

Exception encountered: <class 'keras.src.layers.core.dense.Dense'> could not be deserialized properly.

config={'module': 'keras.layers', 'class_name': 'Dense'}.

Exception encountered: %s"""
AUTOGRAPH = """in user code:

    File "/home/me/train.py", line 12, in serve  *
        return layer(x)

    ValueError: Dimensions must be equal, but are 3 and 4
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            KERAS % "Could not locate class 'Mine'. Make sure custom classes are decorated. Full object config: {}",
            "the class Mine is not registered with Keras, so the file alone does not tell what it does;"
            " publish module:function that returns the model",
        ),
        (KERAS % "Dense.__init__() got an unexpected keyword 'unit'", "Dense.__init__() got an unexpected keyword 'unit'"),
        (AUTOGRAPH, "ValueError: Dimensions must be equal, but are 3 and 4"),
        (
            "Op type not registered 'SentencepieceOp' in binary running on x.",
            "it needs the op SentencepieceOp, which TensorFlow",
        ),
        (
            "Error while reading resource variable v from Container: localhost. This could mean that the variable was"
            " uninitialized. Not found: Resource does not exist.",
            "a variable or table has no value once the model is loaded",
        ),
        ("plain\nand more", "plain"),
        ("", "ValueError"),
    ],
    ids=["class", "innermost", "user code", "op", "no value", "plain", "nothing"],
)
def test_is_found_in_the_text(text, told):
    found = cause(ValueError(text))

    assert found.startswith(told)
    assert "\n" not in found


def test_is_shortened():
    assert len(cause(ValueError("x" * 10_000))) <= 400

"""The cause of a failure, found anywhere in the text of TensorFlow's or Keras' error, and the way out.

Both libraries wrap one error in another and put the cause into the middle or at the end of a long text.
"""

import re
from collections.abc import Callable

from model_export.errors import first_line, lines_of

# What fails in these words fails for every input: something has no value once the model is loaded.
NO_VALUE = re.compile(r"uninitialized|Could not find variable|Table not initialized")

_LONGEST = 400
_MODULE_FUNCTION = "publish module:function that returns the model"

_KERAS_WRAPPING = "Exception encountered: "
_PYTHON_ERROR = re.compile(r"(\w+\.)*\w*(Error|Exception): .+")


def cause(error: BaseException) -> str:
    """Return one line: what is wrong, by name, and what to do where that is known; else the line that tells the most."""
    lines = lines_of(error)
    text = "\n".join(lines)
    for pattern, explain in _KNOWN:
        found = pattern.search(text)
        if found:
            return explain(found)
    return _shortened(_innermost(lines) or first_line(error))


def safe_name(name: str) -> str:
    """Return the name with `_` for each character that TensorFlow takes in no name of a scope or an argument."""
    plain = re.sub(r"[^A-Za-z0-9_.]", "_", name)
    return plain if re.match(r"[A-Za-z]", plain) else f"x{plain}"


def _innermost(lines: list[str]) -> str:
    """Return the last error that a wrapped text quotes, or nothing when it quotes none."""
    wrapped = [line.removeprefix(_KERAS_WRAPPING) for line in lines if line.startswith(_KERAS_WRAPPING)]
    if wrapped:
        return wrapped[-1]
    if any(line.startswith("in user code:") for line in lines):
        return next((line for line in reversed(lines) if _PYTHON_ERROR.fullmatch(line)), "")
    return ""


def _shortened(line: str) -> str:
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 4]} ..."


def _unregistered(found: re.Match[str]) -> str:
    kind, name = found.groups()
    return f"the {kind} {name} is not registered with Keras, so the file alone does not tell what it does; {_MODULE_FUNCTION}"


def _untracked(found: re.Match[str]) -> str:
    holder = found["holder"]
    variable = re.search(r"'([^':]+)(:\d+)?'", holder)
    kind = holder.split(" object at ")[0].rpartition(".")[2].strip("<>")
    what = f"the variable {variable[1]}" if variable else f"a {kind} (resource {found['resource']})"
    return (
        f"{what} is used by the function but belongs to no attribute of the model, so it would not be saved;"
        " assign it to one, as in module.table = table (in a Keras model: to an attribute of a layer of your own class)"
    )


def _unnameable_argument(found: re.Match[str]) -> str:
    name = found["name"]
    return f"TensorFlow cannot name an input {name!r}; change that name to {safe_name(name)!r}"


def _unnameable_scope(found: re.Match[str]) -> str:
    name = found["name"]
    return f"TensorFlow cannot name a layer {name!r}; change that name to {safe_name(name)!r}"


_KNOWN: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"Could not locate (class|function) '([^']+)'"), _unregistered),
    (
        re.compile(
            r"'untracked' resource[\s\S]*ResourceHandle\(name=\"(?P<resource>[^\"]*)\"[\s\S]*this tensor = (?P<holder>.*)"
        ),
        _untracked,
    ),
    (re.compile(r"Got non-flat/non-unique argument names.* was named '(?P<name>.*)'\. Signatures"), _unnameable_argument),
    (re.compile(r"'(?P<name>.*)' is not a valid parameter name"), _unnameable_argument),
    (re.compile(r"'(?P<name>.*)' is not a valid (root )?scope name"), _unnameable_scope),
    (
        re.compile(r"Only `tf\.functions` with an input signature"),
        lambda found: "a signature is no tf.function with an input_signature; write @tf.function(input_signature=[...])",
    ),
    (
        re.compile(r"has not yet been built|has never called"),
        lambda found: "the model does not know its inputs yet, as it was neither built nor called; call it once on an example",
    ),
    (
        re.compile(r"(Lambda` layer whose `function` is a Python lambda|deserialization of a (Python )?`?lambda)"),
        lambda found: f"a Lambda layer holds Python code, which Keras does not load from files; {_MODULE_FUNCTION}",
    ),
    (
        re.compile(r"Op type not registered '(?P<op>\w+)'"),
        lambda found: f"it needs the op {found['op']}, which TensorFlow itself does not have and servers do not either",
    ),
    (
        NO_VALUE,
        lambda found: (
            "a variable or table has no value once the model is loaded; save a Keras model with model.export(folder) instead of"
            " tf.saved_model.save, and initialize what a TF1 session holds before it is saved"
        ),
    ),
)

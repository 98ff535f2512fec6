"""Files that people have instead of a `.keras` file, told apart by content first and by name second."""

import zipfile
from pathlib import Path

_HDF5 = b"\x89HDF\r\n\x1a\n"
_GZIP = b"\x1f\x8b"

_ORIGIN = "publish the Keras model or SavedModel that it was converted from"
_IN_A_FUNCTION = "make the model in a function, load them there and publish module:function"
_WRAPPED = "load it in a function that returns a tf.Module, and publish module:function"
_WEIGHTS = f"weights without a model: {_IN_A_FUNCTION}"
_ARCHIVE = "an archive: unpack it and publish the directory in it that holds saved_model.pb"
_GRAPH = "a graph without signatures: restore it in a session and write it with tf.compat.v1.saved_model.simple_save"

# By the end of the name, the first that fits.
_BY_NAME = {
    ".weights.h5": _WEIGHTS,
    ".tflite": f"a TensorFlow Lite model: {_ORIGIN}",
    ".lite": f"a TensorFlow Lite model: {_ORIGIN}",
    ".onnx": f"an ONNX model: {_ORIGIN}",
    ".mlmodel": f"a Core ML model: {_ORIGIN}",
    ".pkl": f"a pickle of Python objects: {_WRAPPED}",
    ".pickle": f"a pickle of Python objects: {_WRAPPED}",
    ".joblib": f"a pickle of Python objects: {_WRAPPED}",
    ".pt": f"a PyTorch file: {_ORIGIN}",
    ".pth": f"a PyTorch file: {_ORIGIN}",
    ".safetensors": _WEIGHTS,
    ".index": f"a part of a checkpoint, which holds {_WEIGHTS}",
    ".ckpt": f"a checkpoint, which holds {_WEIGHTS}",
    ".meta": _GRAPH,
    ".pb": _GRAPH,
    ".pbtxt": _GRAPH,
    ".npz": "arrays of NumPy and no model; requests for a model are given with --sample",
    ".npy": "arrays of NumPy and no model; requests for a model are given with --sample",
    ".ipynb": "a notebook: save the model in it, with model.save('name.keras'), and publish that file",
    ".json": f"a description without weights: {_IN_A_FUNCTION}",
    ".yaml": f"a description without weights: {_IN_A_FUNCTION}",
    ".yml": f"a description without weights: {_IN_A_FUNCTION}",
}


def kind_of_file(path: Path) -> str:
    """Return what a file is that cannot be published, and what to do, in one line. Raises OSError when it cannot be read."""
    if path.name in ("saved_model.pb", "saved_model.pbtxt", "MLmodel", "fingerprint.pb", "keras_metadata.pb"):
        return f"a file inside of a model's directory: publish the directory, {path.parent}"
    if path.suffix == ".py":
        return f"Python code: publish a function in it that returns the model, as in {path.stem}:make_model"
    return _by_content(path) or _by_name(path.name) or f"a file of {path.stat().st_size} bytes that does not end in .keras"


def kind_of_keras_file(path: Path) -> str:
    """Return what a file is that ends in .keras but is no zip archive, and what to do."""
    with path.open("rb") as file:
        start = file.read(8)
    if start == _HDF5:
        old = path.with_suffix(".h5").name
        return f"it is an older HDF5 file; rename it to {old} and convert it: {_conversion(old)}"
    return "it is damaged or no .keras file, which is a zip archive"


def _by_content(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(512)
    if start.startswith(b"PK") and zipfile.is_zipfile(path):
        return _zip(path)
    kinds = {
        "an empty file": not start,
        f"an HDF5 file of Keras: convert it and publish the new file: {_conversion(path.name)}": start.startswith(_HDF5)
        and not path.name.endswith(".weights.h5"),
        _BY_NAME[".tflite"]: start[4:8] == b"TFL3",
        _ARCHIVE: start.startswith(_GZIP) or start[257:262] == b"ustar",
        _BY_NAME[".pkl"]: start[:1] == b"\x80" and start[1:2] in (b"\2", b"\3", b"\4", b"\5"),
    }
    return next((kind for kind, fits in kinds.items() if fits), "")


def _by_name(name: str) -> str:
    if ".data-0" in name:
        return _BY_NAME[".index"]
    if name.endswith((".h5", ".hdf5")) and not name.endswith(".weights.h5"):
        return "a file that ends as HDF5 files of Keras do, but is none: it is damaged"
    return next((kind for ending, kind in _BY_NAME.items() if name.lower().endswith(ending)), "")


def _zip(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if "config.json" in names and "metadata.json" in names:
        return f"a .keras file under another name: rename it to {path.stem}.keras"
    if any(name.endswith("data.pkl") for name in names):
        return _BY_NAME[".pt"]
    if names and all(name.endswith(".npy") for name in names):
        return _BY_NAME[".npz"]
    models = [name for name in names if name.endswith(("saved_model.pb", ".keras"))]
    inside = f" ({models[0]})" if models else ""
    return f"a zip archive: unpack it and publish the model in it{inside}"


def _conversion(name: str) -> str:
    """Return the line of Python that converts a file, to be run with the Keras that wrote it."""
    return f'keras.models.load_model("{name}").save("{Path(name).stem}.keras")'

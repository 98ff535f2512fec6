"""What a path holds that cannot be published as it is, and what to publish instead."""

import os
import re
import stat
from pathlib import Path

from model_export.diagnosis.file_kinds import kind_of_file
from model_export.versions import in_service

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
# What people write for module:function: a file, a call, a method.
_FUNCTION = re.compile(r"(?P<module>[\w./-]+?)(\.py)?:([\w.]*\.)?(?P<function>[A-Za-z_]\w*)(\(.*\))?")
_DOTTED = re.compile(r"(?P<module>[A-Za-z_]\w*(\.[A-Za-z_]\w*)*)\.(?P<function>[A-Za-z_]\w*)")
_ENDINGS = {"keras", "h5", "hdf5", "pb", "zip", "tflite", "onnx", "py", "gz", "tar", "pkl"}
_SPECIAL = {
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}
# Sets of names or endings, of which one is there completely, and what that tells of a directory.
_DIRECTORIES: tuple[tuple[tuple[set[str], ...], str], ...] = (
    (({"variables"}, {"keras_metadata.pb"}), "a SavedModel without its saved_model.pb: copy the whole directory"),
    (
        ({"checkpoint"}, {".index"}, {".ckpt"}),
        "a checkpoint, which holds weights and no model: make the model in a function, restore the checkpoint there and"
        " publish module:function",
    ),
    (
        ({"config.json", "model.weights.h5"}, {"config.json", "metadata.json"}),
        "an unpacked .keras file: zip its files into one that ends in .keras",
    ),
    (
        ({"config.json", ".safetensors"}, {"config.json", ".bin"}, {"config.json", "tf_model.h5"}),
        "a model of the transformers library: load it in a function and publish module:function",
    ),
    (({"model.json"},), "a TensorFlow.js model: publish the Keras model or SavedModel that it was converted from"),
)
_DEEPEST = 4
_MOST_LOOKED_AT = 20_000
_MODELS = ("saved_model.pb", "saved_model.pbtxt")


def what_is(source: str) -> str:
    """Return, in one line, what is found at a source that is no model, and what to do. Never raises OSError."""
    try:
        return _what_is(source)
    except (OSError, ValueError) as error:
        return f"a path that cannot be read: {getattr(error, 'strerror', None) or error}"


def _what_is(source: str) -> str:
    path = Path(source)
    if not source:
        return "nothing: the path is empty"
    if _URL.match(source):
        return "a URL: download it first and publish the copy"
    if path.is_symlink() and not path.exists():
        return f"a symbolic link to {os.readlink(path)}, where nothing is"
    if not os.path.lexists(path):
        return _nothing(source)
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        return _directory(path)
    return kind_of_file(path) if stat.S_ISREG(mode) else _SPECIAL.get(stat.S_IFMT(mode), "no file")


def _nothing(source: str) -> str:
    """Say that there is nothing, and how to write what the source seems to mean."""
    if source.startswith("~"):
        return "nothing there: the shell did not replace the ~, so write the whole path"
    function = _FUNCTION.fullmatch(source)
    if function:
        meant = f"{_dotted(function['module'])}:{function['function']}"
        return f"nothing there: a function is written as module:function, as in {meant}"
    if ":" in source:
        return "nothing there, and no module:function, as in train:make_model"
    dotted = _DOTTED.fullmatch(source)
    if dotted and dotted["function"] not in _ENDINGS:
        return f"nothing there (if a function is meant, write {dotted['module']}:{dotted['function']})"
    return "nothing there"


def _dotted(module: str) -> str:
    """Return the module's name, told from the path of its file; `train` where that is no name of a module."""
    name = module.removeprefix("./").strip("/").replace("/", ".")
    return name if _MODULE.fullmatch(name) else "train"


def _directory(path: Path) -> str:
    lost = [path / name for name in _MODELS if (path / name).is_symlink() and not (path / name).exists()]
    if lost:
        link = f"{lost[0].name} is a link to {os.readlink(lost[0])}, where nothing is"
        return f"a SavedModel whose {link}: copy the files that its links stand for, as cp -rL does"
    versions = [version for version in in_service(path) if version.path.is_dir()]
    if versions:
        return f"a directory of versions: publish one of them, as in {versions[-1].path}"
    names = sorted(child.name for child in path.iterdir())
    inside = _models_inside(path)
    if "MLmodel" in names:
        return f"an MLflow model: publish {inside[0] if inside else 'the Keras model that was logged: it has no data/model'}"
    if inside:
        return f"a directory that holds {'models' if len(inside) > 1 else 'a model'}: publish {inside[0]}"
    return _directory_without_model(path, names)


def _directory_without_model(path: Path, names: list[str]) -> str:
    endings = {ending for name in names for ending in (name, Path(name).suffix)}
    if path.name == "variables" and ".index" in endings:
        return f"the variables of a SavedModel: publish the directory around it, {path.resolve().parent}"
    for signs, kind in _DIRECTORIES:
        if any(sign <= endings for sign in signs):
            return kind
    return f"a directory with {', '.join(names[:5]) or 'nothing in it'}{', ...' if len(names) > 5 else ''}"


def _models_inside(path: Path) -> list[Path]:
    """Return SavedModel directories and .keras files below the path, the nearest first; .h5 files if there is nothing else."""
    found: list[Path] = []
    old: list[Path] = []
    looked_at = 0
    for parent, directories, files in os.walk(path):
        looked_at += len(files) + len(directories)
        depth = len(Path(parent).relative_to(path).parts)
        if depth >= _DEEPEST or looked_at > _MOST_LOOKED_AT:
            directories.clear()
        if any(name in files and Path(parent, name).is_file() for name in _MODELS):
            found.append(Path(parent))
            directories.clear()
        found.extend(Path(parent, name) for name in files if name.endswith(".keras"))
        old.extend(Path(parent, name) for name in files if _is_keras_h5(name))
    return sorted(found or old, key=lambda inside: (len(inside.parts), inside))


def _is_keras_h5(name: str) -> bool:
    return name.endswith((".h5", ".hdf5")) and not name.endswith((".weights.h5", "tf_model.h5"))

"""Whatever path is given to `publish`: one clear line, the exit status of other errors, no traceback, nothing left behind."""

import gzip
import io
import os
import pickle
import shutil
import signal
import socket
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import tensorflow as tf

from model_export import runtime
from model_export.__main__ import cli
from model_export.errors import ExportError
from model_export.exit_status import run
from model_export.sources.writers import writer_for
from tests.model_export import hard_models, made_models

HARD, MADE = hard_models.__name__, made_models.__name__


@pytest.fixture(scope="module")
def things(tmp_path_factory, built) -> Path:
    """A folder of things that people have instead of a model that can be published."""
    root = tmp_path_factory.mktemp("things")
    _write_files(root)
    _write_archives(root, built)
    _write_folders(root, built)
    _write_special_files(root)
    shutil.copytree(built / "dense" / "1", root / "extra_file", ignore=shutil.ignore_patterns("assets.extra"))
    (root / "extra_file" / "assets.extra").write_text("no directory")
    _write_keras(root)
    (root / "train.py").write_text("def make():\n    raise OSError(28, 'No space left on device')\n")
    (root / "broken.py").write_text("def make(:\n")
    (root / "exits.py").write_text("import sys\nsys.exit('usage: exits.py')\n")
    return root


def _write_files(root: Path) -> None:
    contents = {
        "empty": b"",
        "note.txt": b"hello",
        "m.tflite": b"\x1c\0\0\0TFL3\0\0\0\0",
        "renamed_tflite": b"\x1c\0\0\0TFL3\0\0\0\0",
        "m.onnx": b"\x08\x07",
        "m.pkl": pickle.dumps({"a": 1}),
        "m.joblib": b"\x80\x04",
        "m.pt": b"torch",
        "m.safetensors": b"{}",
        "frozen.pb": b"\x0a\x01",
        "graph.pbtxt": b"node {}",
        "model.json": b"{}",
        "arch.yaml": b"a: 1",
        "x.npy": b"\x93NUMPY",
        "model.ckpt.index": b"x",
        "model.ckpt.data-00000-of-00001": b"x",
        "model.ckpt.meta": b"x",
        "notebook.ipynb": b"{}",
        "m.weights.h5": b"\x89HDF\r\n\x1a\n",
        "m.h5": b"\x89HDF\r\n\x1a\n",
        "damaged.h5": b"hello",
        "old.keras": b"\x89HDF\r\n\x1a\n",
        "damaged.keras": b"hello",
        "empty.keras": b"",
    }
    for name, content in contents.items():
        (root / name).write_bytes(content)


def _write_archives(root: Path, built: Path) -> None:
    for name, members in {
        "saved.zip": ["model/saved_model.pb"],
        "other.zip": ["readme.txt"],
        "renamed.zip": ["config.json", "metadata.json", "model.weights.h5"],
        "torch.bin": ["archive/data.pkl"],
        "arrays.npz": ["x.npy"],
        "nothing.keras": [],
        "strange.keras": ["readme.txt"],
        "no_json.keras": ["config.json", "metadata.json"],
    }.items():
        with zipfile.ZipFile(root / name, "w") as archive:
            for member in members:
                archive.writestr(member, "x")
    with tarfile.open(root / "saved.tar.gz", "w:gz") as archive:
        archive.add(built / "half_plus_two" / "1", "model")
    with tarfile.open(root / "saved.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("a"), io.BytesIO())
    (root / "saved.pb.gz").write_bytes(gzip.compress(b"x"))


def _write_folders(root: Path, built: Path) -> None:
    own = built / "half_plus_two"
    shutil.copytree(own, root / "versions")
    shutil.copytree(built, root / "all_models")
    shutil.copytree(own / "1", root / "mlflow" / "data" / "model")
    (root / "mlflow" / "MLmodel").write_text("flavors: {}")
    (root / "mlflow_empty").mkdir()
    (root / "mlflow_empty" / "MLmodel").write_text("flavors: {}")
    shutil.copytree(own / "1", root / "no_variables")
    shutil.rmtree(root / "no_variables" / "variables")
    shutil.copytree(own / "1", root / "no_index")
    (root / "no_index" / "variables" / "variables.index").unlink()
    shutil.copytree(own / "1", root / "cut_data")
    for data in (root / "cut_data" / "variables").glob("*.data*"):
        data.write_bytes(data.read_bytes()[:-4])
    shutil.copytree(own / "1", root / "no_pb")
    (root / "no_pb" / "saved_model.pb").unlink()
    for name in ("damaged_pb", "empty_pb", "folder_pb"):
        (root / name).mkdir()
    (root / "damaged_pb" / "saved_model.pb").write_bytes(b"\xff" * 9)
    (root / "empty_pb" / "saved_model.pb").touch()
    (root / "folder_pb" / "saved_model.pb").mkdir()
    for folder, name in {
        "checkpoints": "checkpoint",
        "checkpoint_files": "model.ckpt-5.index",
        "csv": "a.csv",
        "transformers": "tf_model.h5",
        "tfjs": "model.json",
        "h5_inside": "m.h5",
        "keras_inside": "best.keras",
        "unpacked_keras": "model.weights.h5",
        "dir.keras": "a",
    }.items():
        (root / folder).mkdir()
        (root / folder / name).write_text("x")
    for folder in ("transformers", "unpacked_keras"):
        (root / folder / "config.json").write_text("{}")
    (root / "empty_folder").mkdir()
    tf.saved_model.save(tf.Module(), str(root / "no_signatures"))


def _write_special_files(root: Path) -> None:
    (root / "lost_pb").mkdir()
    (root / "lost_pb" / "saved_model.pb").symlink_to("/nowhere")
    os.mkfifo(root / "pipe")
    os.mkfifo(root / "pipe.keras")
    (root / "dangling").symlink_to("nowhere")
    (root / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(root / "socket"))


def _write_keras(root: Path) -> None:
    number = tf.keras.Input((3,))

    class Custom(tf.keras.layers.Layer):
        """Known to nobody else."""

        def call(self, x):
            return x

    def activation(x):
        return x

    tf.keras.Model(number, Custom()(number)).save(root / "custom.keras")
    tf.keras.Model(number, tf.keras.layers.Dense(1, activation=activation)(number)).save(root / "function.keras")
    twice = tf.keras.layers.Lambda(lambda x: x * 2, name="twice")
    tf.keras.Model(number, twice(number)).save(root / "lambda.keras")
    data = (root / "custom.keras").read_bytes()
    (root / "cut.keras").write_bytes(data[: len(data) // 2])


@pytest.fixture
def publish(things, tmp_path, monkeypatch):
    """Run the command `publish` in the folder of things, and return its exit status; its models folder is tmp_path/models."""
    runtime.start()
    monkeypatch.chdir(things)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield lambda source: run(cli, ["publish", source, "--name", "mine", "--models-dir", str(tmp_path / "models")])
    for number, handler in handlers.items():
        signal.signal(number, handler)
    for module in ("train", "broken", "exits"):
        sys.modules.pop(module, None)


MODULE_FUNCTION = "publish module:function that returns the model"
WEIGHTS = "weights without a model: make the model in a function"
# What is given -> what the line says; ` ... ` stands for anything.
WRONG = {
    "a path that is empty": ("", "found nothing: the path is empty"),
    "nothing": ("nowhere", "found nothing there"),
    "nothing that ends in .keras": ("nowhere.keras", "found nothing there"),
    "nothing below a file": ("note.txt/model", "found nothing there"),
    "a home": ("~nobody/model", "the shell did not replace the ~"),
    "a name that is too long": ("x" * 5000, "File name too long"),
    "a name with a NUL": ("a\0b", "found"),
    "a name of two lines": ("a\nb", "found nothing there"),
    "dots": ("...", "found nothing there"),
    "a bucket of Google": ("gs://bucket/model", "found a URL: download it first and publish the copy"),
    "a bucket of Amazon": ("s3://bucket/model.keras", "found a URL: download it first"),
    "a web page": ("https://example.org/m.keras", "found a URL: download it first"),
    "a Windows path": ("C:\\models\\m.keras", "found nothing there"),
    "a device": ("/dev/null", "found a device"),
    "a device without an end": ("/dev/zero", "found a device"),
    "a pipe": ("pipe", "found a named pipe"),
    "a pipe that ends in .keras": ("pipe.keras", "found a named pipe"),
    "a socket": ("socket", "found a socket"),
    "a link to nothing": ("dangling", "found a symbolic link to nowhere, where nothing is"),
    "a link to itself": ("loop", "found a symbolic link to loop"),
    "an empty file": ("empty", "found an empty file"),
    "a text": ("note.txt", "found a file of 5 bytes that does not end in .keras"),
    "TensorFlow Lite": ("m.tflite", "publish the Keras model or SavedModel that it was converted from"),
    "TensorFlow Lite under another name": ("renamed_tflite", "found a TensorFlow Lite model: publish the Keras model"),
    "ONNX": ("m.onnx", "found an ONNX model: publish the Keras model or SavedModel that it was converted from"),
    "a pickle": ("m.pkl", "found a pickle of Python objects: load it in a function that returns a tf.Module"),
    "joblib": ("m.joblib", "found a pickle of Python objects"),
    "PyTorch": ("m.pt", "found a PyTorch file"),
    "PyTorch's zip": ("torch.bin", "found a PyTorch file"),
    "safetensors": ("m.safetensors", f"found {WEIGHTS}"),
    "weights": ("m.weights.h5", f"found {WEIGHTS}"),
    "HDF5": ("m.h5", 'convert it and publish the new file: keras.models.load_model("m.h5").save("m.keras")'),
    "damaged HDF5": ("damaged.h5", "but is none: it is damaged"),
    "HDF5 that ends in .keras": ("old.keras", 'rename it to old.h5 and convert it: keras.models.load_model("old.h5")'),
    "a frozen graph": ("frozen.pb", "found a graph without signatures"),
    "a graph as text": ("graph.pbtxt", "found a graph without signatures"),
    "a description": ("model.json", "found a description without weights: make the model in a function"),
    "another description": ("arch.yaml", "found a description without weights"),
    "an array": ("x.npy", "requests for a model are given with --sample"),
    "arrays": ("arrays.npz", "requests for a model are given with --sample"),
    "an index of a checkpoint": ("model.ckpt.index", f"found a part of a checkpoint, which holds {WEIGHTS}"),
    "data of a checkpoint": ("model.ckpt.data-00000-of-00001", "found a part of a checkpoint"),
    "the prefix of a checkpoint": ("model.ckpt", "found nothing there"),
    "a graph of a checkpoint": ("model.ckpt.meta", "found a graph without signatures"),
    "a notebook": ("notebook.ipynb", "found a notebook: save the model in it"),
    "MLflow's file": ("mlflow/MLmodel", "found a file inside of a model's directory: publish the directory, mlflow"),
    "a saved_model.pb": ("no_variables/saved_model.pb", "publish the directory, no_variables"),
    "Python code": ("train.py", "publish a function in it that returns the model, as in train:make_model"),
    "a zip of a SavedModel": ("saved.zip", "unpack it and publish the model in it (model/saved_model.pb)"),
    "a zip": ("other.zip", "found a zip archive: unpack it"),
    "a .keras file that was renamed": ("renamed.zip", "found a .keras file under another name: rename it to renamed.keras"),
    "a tar of a SavedModel": ("saved.tar.gz", "unpack it and publish the directory in it that holds saved_model.pb"),
    "a tar": ("saved.tar", "found an archive: unpack it"),
    "gzip": ("saved.pb.gz", "found an archive: unpack it"),
    "a damaged .keras file": ("damaged.keras", "Keras cannot load it: it is damaged or no .keras file"),
    "an empty .keras file": ("empty.keras", "Keras cannot load it: it is damaged or no .keras file"),
    "half of a .keras file": ("cut.keras", "Keras cannot load it: it is damaged or no .keras file"),
    "an empty zip": ("nothing.keras", "Keras cannot load it: "),
    "another zip": ("strange.keras", "Keras cannot load it: "),
    "a .keras file without sense": ("no_json.keras", "Keras cannot load it: "),
    "a class that is not registered": (
        "custom.keras",
        f"the class Custom is not registered ... {MODULE_FUNCTION}",
    ),
    "a function that is not registered": (
        "function.keras",
        f"the function activation is not registered ... {MODULE_FUNCTION}",
    ),
    "a Lambda layer": ("lambda.keras", f"the layer twice (Lambda) holds Python code ... ; {MODULE_FUNCTION}"),
    "a folder that ends in .keras": ("dir.keras", "found a directory with a"),
    "a folder of versions": ("versions", "found a directory of versions: publish one of them, as in versions/1"),
    "a folder of models": ("all_models", "found a directory that holds models: publish all_models/basket/1"),
    "MLflow's folder": ("mlflow", "found an MLflow model: publish mlflow/data/model"),
    "MLflow's folder without a model": ("mlflow_empty", "found an MLflow model: publish the Keras model that was logged"),
    "a folder of checkpoints": ("checkpoints", "found a checkpoint, which holds weights and no model"),
    "files of a checkpoint": ("checkpoint_files", "found a checkpoint, which holds weights and no model"),
    "a folder of data": ("csv", "found a directory with a.csv"),
    "transformers": ("transformers", "found a model of the transformers library"),
    "TensorFlow.js": ("tfjs", "found a TensorFlow.js model"),
    "HDF5 in a folder": ("h5_inside", "found a directory that holds a model: publish h5_inside/m.h5"),
    "a .keras file in a folder": ("keras_inside", "found a directory that holds a model: publish keras_inside/best.keras"),
    "an unpacked .keras file": ("unpacked_keras", "found an unpacked .keras file: zip its files"),
    "an empty folder": ("empty_folder", "found a directory with nothing in it"),
    "the current folder": (".", "found a directory that holds models: publish"),
    "variables": ("no_pb/variables", "found the variables of a SavedModel: publish the directory around it"),
    "a SavedModel without saved_model.pb": ("no_pb", "found a SavedModel without its saved_model.pb"),
    "a SavedModel without variables": ("no_variables", "the model does not load: its variables are missing"),
    "variables without their index": ("no_index", "the model does not load: its variables are missing"),
    "variables that are cut": ("cut_data", "the model does not load: its variables are ... copy the whole directory"),
    "a link to nothing for saved_model.pb": (
        "lost_pb",
        "found a SavedModel whose saved_model.pb is a link to /nowhere, where nothing is: copy the files",
    ),
    "a file called assets.extra": ("extra_file", "extra_file/assets.extra: expected a directory, ... found a file"),
    "a module's function without specs": (f"{HARD}:module_without_specs", "write @tf.function(input_signature=[...])"),
    "a damaged saved_model.pb": ("damaged_pb", "is not a SavedModel: its saved_model.pb"),
    "an empty saved_model.pb": ("empty_pb", "cannot be served: no graph has the tag set"),
    "a folder called saved_model.pb": ("folder_pb", "found a directory with saved_model.pb"),
    "a SavedModel without signatures": ("no_signatures", "the model has no signatures"),
    "a file and a function": (
        "train.py:make",
        "found nothing there: a function is written as module:function, as in train:make",
    ),
    "a path and a function": (
        "pkg/train.py:make",
        "found nothing there: a function is written as module:function, as in pkg.train:make",
    ),
    "a call": ("train:make()", "found nothing there: a function is written as module:function, as in train:make"),
    "a method": ("train:Model.make", "found nothing there: a function is written as module:function, as in train:make"),
    "a module and nothing": ("train:", "found nothing there, and no module:function, as in train:make_model"),
    "a function and nothing": (":make", "found nothing there, and no module:function"),
    "a dot for a colon": ("train.make_model", "if a function is meant, write train:make_model"),
    "a module that is missing": ("no_such:make", "No module named 'no_such'; run this in the folder that holds it"),
    "a function that is missing": ("train:nope", "AttributeError: module 'train' has no attribute 'nope'"),
    "a module of broken syntax": ("broken:make", "broken:make failed ... : SyntaxError: "),
    "a module that exits": ("exits:make", "exits:make failed at exits.py:2: SystemExit: usage: exits.py"),
    "a function that fails as the system does": ("train:make", "train:make failed at train.py:2: OSError: ... No space left"),
    "a function that fails": (f"{MADE}:raises", "ZeroDivisionError: learning rate / 0"),
    "a failure of two lines": (f"{HARD}:raises_two_lines", "RuntimeError: the first line"),
    "a failure without a text": (f"{HARD}:raises_without_text", "failed ... : RaisesWithoutText"),
    "a function that exits": (f"{HARD}:exits_with_text", "SystemExit: usage: train.py DATA"),
    "a function that recurses": (f"{HARD}:recurses", "RecursionError: maximum recursion depth exceeded"),
    "an import that is missing": (f"{HARD}:imports_what_is_missing", "No module named 'no_such_module_at_all'"),
    "a number": (f"{HARD}:NOT_A_FUNCTION", "is int and no function"),
    "a function with arguments": (f"{HARD}:wants_arguments", "takes arguments, but is called without any ... 'size'"),
    "a function that returns nothing": (f"{HARD}:gives_none", "returned None; expected a Keras model"),
    "a function that returns a class": (f"{HARD}:gives_a_class", "returned the class Module itself, not an object of it"),
    "a function that returns a path": (f"{HARD}:gives_a_path", "returned str; expected a Keras model"),
    "a function that returns a function": (f"{HARD}:gives_a_function", "returned Function; expected a Keras model"),
    "a signature without specs": (f"{HARD}:signature_without_specs", "a signature is no tf.function with an input_signature"),
    "an output that is a list": (f"{HARD}:gives_a_python_list", "Got a non-Tensor value ... for key 'y'"),
    "a table without an owner": (f"{HARD}:untracked_table", "a StaticHashTable ... belongs to no attribute of the model"),
    "a variable without an owner": (f"{HARD}:untracked_variable", "the variable my_scale ... belongs to no attribute"),
    "a table in a Lambda layer": (f"{HARD}:lambda_with_untracked_table", "a StaticHashTable ... belongs to no attribute"),
    "an input without a usable name": (
        f"{HARD}:unnameable_input",
        "(cm)'; change that name to 'sepal_length__cm_'",
    ),
    "a batch size that cannot be kept": (
        f"{HARD}:stateful_without_declared_inputs",
        "layer memory is stateful for ... be kept",
    ),
    "a model that was never called": (f"{MADE}:keras_unbuilt", "neither built nor called; call it once on an example"),
    "a built-in module": ("sys:path", "sys:path is list and no function"),
    "a built-in function": ("os:getcwd", "os:getcwd returned str"),
}


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
@pytest.mark.parametrize(("source", "told"), WRONG.values(), ids=WRONG)
def test_is_told_in_one_line_and_leaves_nothing(publish, tmp_path, capfd, source, told):
    status = publish(source)
    stdout, stderr = capfd.readouterr()

    errors = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert (status, stdout, len(errors)) == (1, "", 1)
    assert stderr.splitlines()[-1] == errors[0]
    assert "Traceback" not in stderr
    assert len(errors[0]) < 1000
    parts = told.split(" ... ")
    places = [errors[0].find(part) for part in parts]
    assert -1 not in places, errors[0]
    assert places == sorted(places), errors[0]
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.parametrize("source", ["locked", "locked/m.keras", "locked/saved_model", "locked/a:b"])
def test_what_may_not_be_read_is_told(tmp_path, source):
    (tmp_path / "locked").mkdir(mode=0)
    user = os.geteuid()
    if user == 0:  # who may read everything
        os.seteuid(65534)
    try:
        with pytest.raises(ExportError, match=f"{source}: Permission denied$"):
            writer_for(str(tmp_path / source))
    finally:
        os.seteuid(user)

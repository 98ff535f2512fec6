"""What users may publish, and what the check before a publication accepts and refuses."""

import os
import re
import shutil
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import saved_model_pb2

from model_export.errors import ExportError, first_line
from model_export.publishing import warmup
from model_export.publishing.release import release
from model_export.sources.writers import writer_for
from model_export.versions import in_service
from tests.model_export import made_models

# Keras 3.15 converts its variables to numpy 2 arrays in a way that numpy tells it to change.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")

MADE = made_models.__name__


@pytest.fixture
def publish(tmp_path):
    """Publish a source as the model `mine`."""
    return lambda source: release(tmp_path / "models", "mine", writer_for(str(source)), lambda step: None)


def declared(released):
    signatures = released.verdict.signatures
    return {s.name: {t.name: f"{t.dtype_name}{t.shape_text}" for t in (*s.inputs, *s.outputs)} for s in signatures}


def test_a_keras_file_gets_the_names_of_its_inputs_and_layers(publish, load, tmp_path):
    model = made_models.keras_two_inputs()
    model.save(tmp_path / "m.keras")
    released = publish(tmp_path / "m.keras")

    tensors = {"amount": "float[-1,3]", "word": "string[-1]", "score": "float[-1,1]", "embedding": "float[-1,2]"}
    assert declared(released) == {"serving_default": tensors}
    amount = np.arange(21.0).reshape(7, 3)
    answer = load(released.version.path)("serving_default", amount=amount, word=[b"a", b"b", b"c"] * 2 + [b"a"])
    kernel, bias = model.get_layer("score").get_weights()
    np.testing.assert_allclose(answer["score"], amount @ kernel + bias, rtol=1e-5)
    np.testing.assert_array_equal(answer["embedding"][0], model.get_layer("embedding").get_weights()[0][1])


def test_a_fixed_batch_size_stays(publish, load, tmp_path):
    made_models.keras_stateful().save(tmp_path / "m.keras")
    released = publish(tmp_path / "m.keras")

    assert declared(released) == {"serving_default": {"steps": "float[4,5,3]", "next": "float[4,1]"}}
    assert load(released.version.path)("serving_default", steps=np.ones((4, 5, 3)))["next"].shape == (4, 1)
    [found] = released.verdict.findings.values()
    assert found.text == "input steps has a fixed dimension 0: requests will not be joined"


@pytest.mark.parametrize(
    "names",
    [
        ("sepal length (cm)", "petal.width", "größe"),
        ("x[0]", "x[1]"),
        ("a b", "a_b", "a-b"),
        ("class", "self", "_x"),
        ("x:0", '日本 "%"'),
        ("training", "mask"),
        ("plain",),
        ("A", "a"),
        ("Größe", "größe", "Age"),
    ],
    ids=[
        "a table's",
        "brackets",
        "alike",
        "Python's words",
        "colons and quotes",
        "Keras' words",
        "plain",
        "other case",
        "other case of other letters",
    ],
)
def test_the_names_of_keras_inputs_stay(publish, load, tmp_path, names):
    made_models.keras_named(*names).save(tmp_path / "m.keras")
    released = publish(tmp_path / "m.keras")

    assert sorted(tensor.name for tensor in released.verdict.signatures[0].inputs) == sorted(names)
    given = {name: [[1, 2, 3]] for name in names}
    [answer] = load(released.version.path)("serving_default", **given).values()
    np.testing.assert_allclose(answer, np.array([[1, 2, 3]]) * (10 ** len(names) - 1) / 9)
    [log] = warmup.read(released.version.path)
    assert set(log.record.predict_log.request.inputs) == set(names)


def test_inputs_are_not_mixed_up_by_their_names(publish, load, tmp_path):
    made_models.keras_named("z z", "a a").save(tmp_path / "m.keras")
    model = load(publish(tmp_path / "m.keras").version.path)

    np.testing.assert_allclose(model("serving_default", **{"z z": [[1, 0, 0]], "a a": [[0, 1, 0]]})["sum"], [[1, 10, 0]])


def test_a_layer_that_cannot_keep_its_name_is_told_with_another(tmp_path):
    layers = [tf.keras.Input((3,)), tf.keras.layers.Dense(2, name="score (%)")]
    tf.keras.Sequential(layers).save(tmp_path / "m.keras")

    write = writer_for(str(tmp_path / "m.keras"))
    with pytest.raises(ExportError, match=r"cannot name a layer 'score \(%\)'; change that name to 'score____'$"):
        write(tmp_path)


def test_a_sequential_keras_file_is_taken(publish, load, tmp_path):
    made_models.keras_sequential().save(tmp_path / "m.keras")
    released = publish(tmp_path / "m.keras")

    assert declared(released) == {"serving_default": {"number": "float[-1,3]", "doubled": "float[-1,3]"}}
    answer = load(released.version.path)("serving_default", number=[[1, 2, 3]])
    np.testing.assert_array_equal(answer["doubled"], [[2, 4, 6]])


def test_a_saved_model_directory_is_copied_whole(publish, built, tmp_path):
    own = tmp_path / "own"
    shutil.copytree(built / "half_plus_two" / "1", own)
    (own / "assets").mkdir(exist_ok=True)
    (own / "assets" / "vocabulary.txt").write_text("a\nb\n")
    (own / "assets.extra" / "notes").mkdir()
    (own / "assets.extra" / "notes" / "readme.txt").write_text("mine")
    own.chmod(0o700)
    released = publish(own)

    def contents(folder):
        return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    assert contents(released.version.path) == contents(own), "the finding about rows came along, and was found anew"
    assert released.version.path.stat().st_mode == (tmp_path / "models").stat().st_mode


@pytest.mark.parametrize(
    ("function", "tensors"),
    [
        ("keras_sequential", {"serving_default": {"number": "float[-1,3]", "doubled": "float[-1,3]"}}),
        ("module_with_signatures", {"serving_default": {"x": "float[-1]", "scaled": "float[-1]"}}),
        ("module_and_signatures", {"scale": {"x": "float[-1]", "scaled": "float[-1]"}}),
    ],
)
def test_a_function_may_return_any_form_of_model(publish, function, tensors):
    assert declared(publish(f"{MADE}:{function}")) == tensors


def test_what_a_function_prints_does_not_mix_with_results(publish, capsys):
    publish(f"{MADE}:talkative")

    assert capsys.readouterr() == ("", "epoch 1\n")


def test_a_subclassed_keras_model_is_taken_once_it_was_called(publish):
    assert "serving_default" in declared(publish(f"{MADE}:keras_subclassed"))
    with pytest.raises(ExportError, match=r"cannot be exported: .*built"):
        publish(f"{MADE}:keras_unbuilt")


def test_a_keras_model_inside_a_module_comes_up_with_its_weights(publish, load):
    released = publish(f"{MADE}:module_holding_keras")

    np.testing.assert_allclose(load(released.version.path)("serving_default", x=[[1, 2, 3]])["y"], [[6]])


def test_a_function_is_found_in_the_current_directory(publish, tmp_path, monkeypatch):
    (tmp_path / "my_training.py").write_text(
        "import tensorflow as tf\n"
        "def make():\n"
        "    spec = tf.TensorSpec([None], tf.int32, name='n')\n"
        "    return tf.Module(), {'serving_default': tf.function(lambda n: {'next': n + 1}, input_signature=[spec])}\n"
    )
    monkeypatch.chdir(tmp_path)

    assert declared(publish("my_training:make")) == {"serving_default": {"n": "int32[-1]", "next": "int32[-1]"}}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("nowhere", "nothing there"),
        ("note.txt", "a file of 5 bytes that does not end in .keras"),
        ("empty", "a directory with nothing in it"),
        ("data", "a directory with a.csv, b.csv"),
        ("versions", "a directory of versions: publish one of them, as in .*versions/10"),
    ],
)
def test_a_path_of_no_known_form_is_told_which_forms_there_are_and_what_was_found(tmp_path, path, found):
    (tmp_path / "note.txt").write_text("hello")
    for folder in ("empty", "data", "versions/2", "versions/10"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("a.csv", "b.csv"):
        (tmp_path / "data" / name).touch()

    with pytest.raises(ExportError, match=rf"expected a \.keras file, .* or module:function; found {found}"):
        writer_for(str(tmp_path / path))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (f"{MADE}:raises", r"raises failed at .*made_models\.py:\d+: ZeroDivisionError: learning rate / 0"),
        (f"{MADE}:leaves", r"leaves failed at .*: SystemExit: 0"),
        (f"{MADE}:missing", "AttributeError: .*no attribute 'missing'"),
        ("no_such_module_here:make", "ModuleNotFoundError: No module named 'no_such_module_here'"),
        (f"{MADE}:not_a_model", "returned int; expected a Keras model"),
        (f"{MADE}:without_signatures", "no signatures"),
    ],
)
def test_a_function_that_gives_no_usable_model_is_refused_with_the_reason(publish, tmp_path, monkeypatch, source, reason):
    monkeypatch.chdir(os.path.dirname(made_models.__file__))
    with pytest.raises(ExportError, match=reason) as refusal:
        publish(source)

    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "models" / "mine").exists()


@pytest.mark.parametrize("damage", [b"", b"\xff\xff\xff\xff not a protocol buffer"])
def test_a_damaged_saved_model_is_refused(publish, tmp_path, damage):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "saved_model.pb").write_bytes(damage)

    with pytest.raises(ExportError, match=r"cannot be served|not a SavedModel") as refusal:
        publish(tmp_path / "own")
    assert str(refusal.value).startswith(f"{tmp_path}/own ")
    assert "tensorflow.SavedModel" not in str(refusal.value)


def test_a_damaged_saved_model_is_told_with_its_size_and_where_its_text_goes_wrong(publish, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "saved_model.pb").write_bytes(b"\xff" * 4)
    reason = "is not a SavedModel: its saved_model.pb (4 bytes) is damaged or some other file"
    with pytest.raises(ExportError, match=re.escape(f"{tmp_path}/own {reason}")):
        publish(tmp_path / "own")

    (tmp_path / "own" / "saved_model.pb").rename(tmp_path / "own" / "saved_model.pbtxt").write_text("meta_graphs { nope")
    with pytest.raises(ExportError, match=r"own is not a SavedModel: its saved_model\.pbtxt is damaged \(1:15 : .*nope"):
        publish(tmp_path / "own")


def test_a_saved_model_without_its_variables_is_refused(publish, built, tmp_path):
    shutil.copytree(built / "digits" / "1", tmp_path / "own")
    shutil.rmtree(tmp_path / "own" / "variables")

    with pytest.raises(ExportError, match=r"does not load|fails with inputs") as refusal:
        publish(tmp_path / "own")
    assert ".tmp-" not in str(refusal.value), "the folder that the copy was made in is gone"
    assert not (tmp_path / "models" / "mine").exists()


def test_a_damaged_keras_file_is_refused(tmp_path):
    (tmp_path / "m.keras").write_bytes(b"not a zip file")

    with pytest.raises(ExportError, match=r"Keras cannot load it: it is damaged or no \.keras file") as refusal:
        writer_for(str(tmp_path / "m.keras"))
    assert "\n" not in str(refusal.value)


def test_a_keras_file_that_keras_refuses_is_told_in_its_words(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("notes.txt", "nothing that Keras knows")

    with pytest.raises(ExportError, match=r"Keras cannot load it: .*config\.json"):
        writer_for(str(tmp_path / "m.keras"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("File not found: filepath=m.keras. Please ...", "File not found: filepath=m.keras. Please ..."),
        ('in user code:\n\n    File "train.py", line 3, in call\n        wrong shape', "wrong shape"),
        ("2 root error(s) found.\n  (0) INVALID_ARGUMENT: wrong shape\n\t [[{{node x}}]]", "wrong shape"),
        ("Graph execution error:\n\nDetected at node x\n<stack trace unavailable>\nwrong shape", "wrong shape"),
        ("\x1b[1mwrong shape\x1b[0m", "wrong shape"),
        ("", "ValueError"),
    ],
)
def test_the_first_line_is_the_first_that_says_something(text, told):
    assert first_line(ValueError(text)) == told


@pytest.mark.parametrize("function", ["picky_about_text", "fails_on_numbers"])
def test_a_signature_whose_inputs_cannot_be_guessed_is_published_with_a_warning(publish, tmp_path, function):
    released = publish(f"{MADE}:{function}")

    [warning] = released.verdict.warnings
    assert "signature serving_default gets no warm-up: no guess suited it" in warning
    assert in_service(tmp_path / "models" / "mine") == [released.version]
    assert list(tf.data.TFRecordDataset(str(released.version.path / warmup.PATH))) == []


@pytest.mark.parametrize("function", ["needs_large_images", "divides_by_integers", "takes_a_scalar", "parses_examples"])
def test_inputs_that_a_model_insists_on_are_found(publish, function):
    released = publish(f"{MADE}:{function}")

    assert not released.verdict.warnings
    assert len(released.verdict.answered) == 1


def test_an_input_that_is_declared_wrongly_is_told_and_called_as_the_graph_takes_it(publish, built, tmp_path):
    """TensorFlow Serving's own half_plus_three declares a float of no shape where its graph takes serialized examples."""
    shutil.copytree(built / "half_plus_two" / "1", tmp_path / "own")
    shutil.rmtree(tmp_path / "own" / "assets.extra")
    proto = saved_model_pb2.SavedModel.FromString((tmp_path / "own" / "saved_model.pb").read_bytes())
    wrong = proto.meta_graphs[0].signature_def["regress_x_to_y"].inputs["inputs"]
    wrong.dtype = types_pb2.DT_FLOAT
    wrong.ClearField("tensor_shape")
    (tmp_path / "own" / "saved_model.pb").write_bytes(proto.SerializeToString())
    released = publish(tmp_path / "own")

    assert released.verdict.warnings == ("signature regress_x_to_y declares inputs as float, but the graph takes string",)
    records = [log.record for log in warmup.read(released.version.path)]
    assert (
        sorted(record.WhichOneof("log_type") for record in records)
        == ["classify_log"] + ["predict_log"] * 2 + ["regress_log"] * 2
    )


def test_features_of_examples_are_read_from_the_graph(publish):
    """Two times three ones and a count of one: all three features had the right kind and number of values."""
    [answered] = publish(f"{MADE}:parses_examples").verdict.answered

    np.testing.assert_array_equal(answered.outputs["sum"], [7.0])

"""PredictionLogs, given as samples or brought by a model, are held to the rules by which servers replay them."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import prediction_log_pb2

from model_export.errors import ExportError
from model_export.publishing import warmup
from model_export.publishing.release import release
from model_export.sampling import sample_file
from model_export.sources.writers import writer_for

PredictionLog = prediction_log_pb2.PredictionLog
CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"


def predict(signature="", output_filter=(), **inputs):
    record = PredictionLog()
    request = record.predict_log.request
    request.model_spec.signature_name = signature
    request.output_filter.extend(output_filter)
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(value if isinstance(value, tensor_pb2.TensorProto) else floats(value))
    return record


def floats(values):
    return tf.make_tensor_proto(np.array(values, np.float32))


def tensor(**fields):
    return tensor_pb2.TensorProto(**fields)


def with_shape(sizes, unknown_rank=False):
    made = tensor(dtype=1, float_val=[1.0, 2.0], tensor_shape={"unknown_rank": unknown_rank})
    for size in sizes:
        made.tensor_shape.dim.add(size=size)
    return made


def add_example(request, **features):
    example = request.input.example_list.examples.add()
    for name, value in features.items():
        example.features.feature[name].float_list.value.append(value)


def by_examples(kind, signature, rows=1):
    record = PredictionLog()
    request = getattr(record, kind).request
    request.model_spec.signature_name = signature
    request.model_spec.name = "any"
    for _ in range(rows):
        add_example(request, x=1.0, x2=1.0)
    return record


def several(*tasks, rows=1):
    record = PredictionLog()
    request = record.multi_inference_log.request
    for method, model, signature in tasks:
        task = request.tasks.add(method_name=method)
        task.model_spec.name, task.model_spec.signature_name = model, signature
    for _ in range(rows):
        add_example(request, x=1.0, x2=1.0)
    return record


ONE = (REGRESS, "any", "regress_x_to_y")
REFUSED = {
    "an unknown output": (predict("", ["z"], x=[1.0]), "output_filter: 'z' is no output; signature serving_default gives y"),
    "an output twice": (predict("", ["y", "y"], x=[1.0]), "output_filter: 'y' stands there twice"),
    "a negative size": (predict(x=with_shape([-1])), r"input x is no valid TensorProto: .*got \[-1\]"),
    "an unknown rank": (predict(x=with_shape([], unknown_rank=True)), "input x is no valid TensorProto: .*an unknown rank"),
    "no dtype": (predict(x=tensor()), "input x is no valid TensorProto"),
    "an unknown dtype": (predict(x=tensor(dtype=77)), "input x is no valid TensorProto: expected a dtype"),
    "a resource": (predict(x=tensor(dtype=20)), "input x is no valid TensorProto: a resource does not travel"),
    "content of another size": (predict(x=tensor(dtype=1, tensor_content=b"abc")), "input x is no valid TensorProto"),
    "more than there is memory for": (predict(x=with_shape([2**40])), "input x is no valid TensorProto: .* bytes"),
    "a regress signature classified": (
        by_examples("classify_log", "regress_x_to_y"),
        "signature regress_x_to_y is not asked by Classify: expected the outputs classes .*, got outputs float32",
    ),
    "a classify signature regressed": (
        by_examples("regress_log", "classify_x_to_y"),
        "signature classify_x_to_y is not asked by Regress: expected one output, called outputs .*, got scores float32",
    ),
    "a predict signature classified": (by_examples("classify_log", "serving_default"), "'inputs' is no input"),
    "nothing to classify": (by_examples("classify_log", "classify_x_to_y", rows=0), "input: expected at least one example"),
    "nothing to regress": (by_examples("regress_log", "regress_x_to_y", rows=0), "input: expected at least one example"),
    "no example for several": (several(ONE, rows=0), "input: expected at least one example"),
    "no task": (several(), "there is no request in it: expected at least one task"),
    "a task twice": (several(ONE, ONE), "signature regress_x_to_y is asked by two tasks"),
    "a task by predict": (
        several(("tensorflow/serving/predict", "any", "regress_x_to_y")),
        "method_name of a task: expected .*, got 'tensorflow/serving/predict'",
    ),
    "a task of no model": (several((REGRESS, "", "regress_x_to_y")), "expected one model name, .* got ''"),
    "tasks of two models": (
        several(ONE, (CLASSIFY, "other", "classify_x_to_y")),
        "expected one model name, .* got 'any' and 'other'",
    ),
    "a task by the other method": (several((CLASSIFY, "any", "regress_x_to_y")), "is not asked by Classify"),
}
TAKEN = {
    "a filter": predict("", ["y"], x=[1.0]),
    "more values than the shape holds": predict(x=with_shape([1])),
    "no values": predict(x=tensor(dtype=1, tensor_shape=with_shape([3]).tensor_shape)),
    "a classification": by_examples("classify_log", "classify_x_to_y", rows=2),
    "several": several(ONE, (CLASSIFY, "any", "classify_x_to_y"), rows=3),
}


@pytest.fixture
def publish(built, tmp_path):
    """Publish half_plus_two with this record as a sample or as its own warm-up file."""

    def publish(record, brought):
        own, sample = tmp_path / "own", tmp_path / "sample"
        shutil.copytree(built / "half_plus_two" / "1", own, ignore=shutil.ignore_patterns("assets.extra"))
        (own / warmup.PATH).parent.mkdir()
        with tf.io.TFRecordWriter(str(own / warmup.PATH if brought else sample)) as writer:
            writer.write(record.SerializeToString())
        samples = [] if brought else sample_file.read(sample)
        return release(tmp_path / "models", "mine", writer_for(str(own)), lambda step: None, samples)

    return publish


@pytest.mark.parametrize("brought", [False, True], ids=["sample", "brought"])
@pytest.mark.parametrize(("record", "told"), REFUSED.values(), ids=REFUSED)
def test_a_record_that_servers_refuse_is_refused_by_its_number(publish, tmp_path, record, told, brought):
    with pytest.raises(ExportError, match=f"^record 0 of .*{told}") as refusal:
        publish(record, brought)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "models" / "mine").exists()


@pytest.mark.parametrize("record", TAKEN.values(), ids=TAKEN)
def test_a_record_that_servers_take_is_kept(publish, record):
    released = publish(record, brought=True)

    assert [log.record for log in warmup.read(released.version.path)] == [record]


def test_classes_that_are_not_one_row_for_each_example_are_refused(tmp_path):
    module = tf.Module()
    spec = tf.TensorSpec([None], tf.string, name="inputs")
    module.f = tf.function(lambda inputs: {"scores": tf.ones([1, 2]) * float(1)}, input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path / "own"), signatures={"serving_default": module.f})
    (tmp_path / "own" / warmup.PATH).parent.mkdir()
    warmup.write(tmp_path / "own", [by_examples("classify_log", "", rows=2)])

    with pytest.raises(
        ExportError, match=r"record 0 of .* fails: .*expected output scores in shape \[2,classes\], got \[1,2\]"
    ):
        release(tmp_path / "models", "mine", writer_for(str(tmp_path / "own")), lambda step: None)

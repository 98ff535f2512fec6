"""Flask on gunicorn's threads before the model server: ``json``, ``np.array``, one gRPC call, no batching and no validation.

``gunicorn -k gthread "benchmarks.baselines.plain_flask:create_app('127.0.0.1:8500', 'image', 'image', 'scores')"``.
Every worker imports TensorFlow for ``make_tensor_proto``, as the guides to TensorFlow Serving do.
"""

import grpc
import numpy as np
import tensorflow as tf
from flask import Flask, Response, jsonify, request
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

TIMEOUT_S = 10.0
# A picture as a protocol buffer is under 1 MB, a batch of them is not.
_UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


def create_app(target: str, model: str, input_name: str, output_name: str) -> Flask:
    """Return the application, with a channel to the model server at ``target``, for a model of one input and one output."""
    app = Flask(__name__)
    stub = prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel(target, _UNLIMITED))

    @app.get("/health")
    def health() -> Response:
        return jsonify(ok=True)

    @app.post("/predict")
    def predict() -> Response:
        rows = np.array(request.get_json()["instances"], np.float32)
        call = predict_pb2.PredictRequest()
        call.model_spec.name = model
        call.inputs[input_name].CopyFrom(tf.make_tensor_proto(rows))
        answer = stub.Predict(call, timeout=TIMEOUT_S)
        return jsonify(predictions=tf.make_ndarray(answer.outputs[output_name]).tolist())

    return app

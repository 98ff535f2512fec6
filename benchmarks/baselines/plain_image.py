"""Pictures through plain Flask: ``json``, ``np.array``, one gRPC call, no batching and no validation.

``gunicorn -k gthread "benchmarks.baselines.plain_image:create_app('127.0.0.1:8500', 'image')"``. Every worker imports
TensorFlow for ``make_tensor_proto``, as the guides to TensorFlow Serving do.
"""

import grpc
import numpy as np
import tensorflow as tf
from flask import Flask, Response, jsonify, request
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

TIMEOUT_S = 10.0
# A picture as a protocol buffer is under 1 MB, a batch of them is not.
_UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


def create_app(target: str, model: str) -> Flask:
    """The application, with a channel to the model server at ``target``; the output must be `scores`, the input `image`."""
    app = Flask(__name__)
    stub = prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel(target, _UNLIMITED))

    @app.get("/health")
    def health() -> Response:
        return jsonify(ok=True)

    @app.post("/predict")
    def predict() -> Response:
        images = np.array(request.get_json()["instances"], np.float32)
        call = predict_pb2.PredictRequest()
        call.model_spec.name = model
        call.inputs["image"].CopyFrom(tf.make_tensor_proto(images))
        answer = stub.Predict(call, timeout=TIMEOUT_S)
        return jsonify(predictions=tf.make_ndarray(answer.outputs["scores"]).tolist())

    return app

"""The program without a model server: Flask on threads, Keras' ``model.predict`` in the same process, a batching thread.

``gunicorn -k gthread --threads 64 "benchmarks.baselines.in_process:create_app('dense.npz')"``. At most 16 requests a batch,
which waits at most 30 ms, and two seconds for a prediction: what such services ship with.
"""

import numpy as np
import tensorflow as tf
from flask import Flask, Response, jsonify, request

from benchmarks.baselines.thread_batcher import Floats, ThreadBatcher

MAX_REQUESTS = 16
MAX_WAIT_S = 0.030
TIMEOUT_S = 2.0
FEATURES = 10


def create_app(weights: str) -> Flask:
    """The application with the network of `dense`, warmed up."""
    app = Flask(__name__)
    network = _network(weights)
    batcher = ThreadBatcher(lambda rows: network.predict(rows, verbose=0)[:, 0], MAX_REQUESTS, MAX_WAIT_S)
    batcher.predict(np.zeros((1, FEATURES), np.float32), timeout_s=60)

    @app.get("/health")
    def health() -> Response:
        return jsonify(ok=True, status="up")

    @app.post("/predict")
    def predict() -> tuple[Response, int]:
        rows = _rows(request.get_json(silent=True))
        if rows is None:
            return jsonify(ok=False, error="BAD_INPUT", message=f"instances must be rows of {FEATURES} numbers"), 400
        try:
            return jsonify(ok=True, predictions=batcher.predict(rows, TIMEOUT_S).tolist()), 200
        except TimeoutError:
            return jsonify(ok=False, error="PREDICT_FAILED", message="the prediction took too long"), 504

    return app


def _rows(body: object) -> Floats | None:
    try:
        rows = np.array(body["instances"], np.float32) if isinstance(body, dict) else None
    except (KeyError, TypeError, ValueError):
        return None
    return rows if rows is not None and rows.ndim == 2 and rows.shape[1] == FEATURES else None


def _network(weights: str) -> tf.keras.Model:
    layers = [tf.keras.layers.Dense(32, activation="relu"), tf.keras.layers.Dense(1)]
    network = tf.keras.Sequential([tf.keras.Input((FEATURES,)), *layers])
    with np.load(weights) as stored:
        network.set_weights([stored[name] for name in ("hidden", "hidden_bias", "last", "last_bias")])
    return network

"""FastAPI on uvicorn before the model server: pydantic reads the body, ``grpc.aio`` asks the model server, nothing is batched.

``python -m benchmarks.baselines.fastapi_grpc PORT TARGET MODEL``: one process, uvloop and httptools, no access log.
"""

import gc
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import numpy as np
import tensorflow as tf
import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

TIMEOUT_S = 10.0


class Rows(BaseModel):
    """A request's body."""

    instances: list[list[float]]


class Predictions(BaseModel):
    """An answer's body."""

    predictions: list[float]


def create_app(target: str, model: str, input_name: str = "features", output_name: str = "prediction") -> FastAPI:
    """Return the application, with a channel to the model server at ``target``: rows of floats in, one float out for each."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with grpc.aio.insecure_channel(target) as channel:
            app.state.stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/health")  # type: ignore[untyped-decorator]
    async def health() -> dict[str, bool]:
        return {"ok": True}

    @app.post("/predict")  # type: ignore[untyped-decorator]
    async def predict(body: Rows) -> Predictions:
        try:
            rows = np.array(body.instances, np.float32)
        except ValueError as error:
            raise HTTPException(422, "instances must be rows of the same length") from error
        call = predict_pb2.PredictRequest()
        call.model_spec.name = model
        call.inputs[input_name].CopyFrom(tf.make_tensor_proto(rows))
        answer = await app.state.stub.Predict(call, timeout=TIMEOUT_S)
        return Predictions(predictions=tf.make_ndarray(answer.outputs[output_name]).tolist())

    return app


if __name__ == "__main__":
    port, target, model = sys.argv[1:]
    app = create_app(target, model)
    # TensorFlow's objects are here to stay: walking all of them stalls a server for tenths of a second, again and again.
    gc.collect()
    gc.freeze()
    uvicorn.run(app, host="127.0.0.1", port=int(port), loop="uvloop", http="httptools", access_log=False)

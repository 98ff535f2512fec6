"""The official generated messages of tensorflow-serving-api, without TensorFlow's runtime.

``tensorflow_serving.apis`` imports ``tensorflow.core.*_pb2``, and the plain way to those runs TensorFlow's ``__init__``:
it takes seconds, and hundreds of megabytes, in each worker. The message modules need nothing of it. So while they are imported
here, an empty package that only knows the path takes the place of ``tensorflow``; it is removed again, and a later ``import
tensorflow`` gets the real one.

The messages stay the official ones: protobuf's descriptor pool refuses a second definition under the same names.
"""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def tensorflow_without_runtime() -> Iterator[None]:
    """While open, ``import tensorflow.core...`` finds the files without running ``tensorflow/__init__.py``."""
    if "tensorflow" in sys.modules:
        yield
        return
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError("the package 'tensorflow' (or the copy of its message modules) is not installed")
    placeholder = ModuleType("tensorflow")
    placeholder.__path__ = list(spec.submodule_search_locations)
    sys.modules["tensorflow"] = placeholder
    try:
        yield
    finally:
        del sys.modules["tensorflow"]


with tensorflow_without_runtime():
    from tensorflow.core.example.example_pb2 import Example as ExampleProto
    from tensorflow.core.framework.tensor_pb2 import TensorProto
    from tensorflow.core.framework.types_pb2 import DataType
    from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef, TensorInfo
    from tensorflow_serving.apis.classification_pb2 import ClassificationRequest, ClassificationResponse
    from tensorflow_serving.apis.get_model_metadata_pb2 import (
        GetModelMetadataRequest,
        GetModelMetadataResponse,
        SignatureDefMap,
    )
    from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest, GetModelStatusResponse
    from tensorflow_serving.apis.input_pb2 import Input
    from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest, ReloadConfigResponse
    from tensorflow_serving.apis.model_pb2 import ModelSpec
    from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse
    from tensorflow_serving.apis.regression_pb2 import RegressionRequest, RegressionResponse
    from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

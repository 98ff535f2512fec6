"""The ConfigProto of every session, from the flags."""

from typing import Any

from tensorflow.core.protobuf import config_pb2

from model_server.flags import Flags
from model_server.messages import read_text_proto


def session_config(flags: Flags) -> Any:
    """``--tensorflow_session_config_file`` with the parallelism and GPU flags on top; raises ServingError.

    Operations that name a device which is absent run on another one, so that GPU exports serve on a CPU.
    """
    message: Any = config_pb2.ConfigProto()
    if flags.tensorflow_session_config_file:
        read_text_proto(flags.tensorflow_session_config_file, message, "tensorflow_session_config_file")
    message.allow_soft_placement = True
    if flags.per_process_gpu_memory_fraction:
        message.gpu_options.per_process_gpu_memory_fraction = flags.per_process_gpu_memory_fraction
    _set_parallelism(message, flags)
    return message


def _set_parallelism(message: Any, flags: Flags) -> None:
    session = flags.tensorflow_session_parallelism
    intra, inter = flags.tensorflow_intra_op_parallelism, flags.tensorflow_inter_op_parallelism
    if intra <= 0 and inter <= 0:
        intra = inter = session
    if intra > 0:
        message.intra_op_parallelism_threads = intra
    if inter > 0:
        message.inter_op_parallelism_threads = inter

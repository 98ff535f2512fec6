"""The ConfigProto of every session."""

from pathlib import Path
from typing import Any

import pytest

from model_server.flags import Flags
from model_server.session.config import session_config
from model_server.status import ServingError


@pytest.mark.parametrize(
    ("flags", "intra", "inter"),
    [
        ({}, 0, 0),
        ({"tensorflow_session_parallelism": 3}, 3, 3),
        ({"tensorflow_intra_op_parallelism": 2}, 2, 0),
        ({"tensorflow_intra_op_parallelism": 2, "tensorflow_inter_op_parallelism": 5}, 2, 5),
    ],
)
def test_parallelism(flags: dict[str, Any], intra: int, inter: int):
    made = session_config(Flags(**flags))
    assert (made.intra_op_parallelism_threads, made.inter_op_parallelism_threads) == (intra, inter)


def test_flags_are_put_on_top_of_the_file(tmp_path: Path):
    path = tmp_path / "session.config"
    path.write_text("intra_op_parallelism_threads: 7 inter_op_parallelism_threads: 8 log_device_placement: true")
    made = session_config(
        Flags(
            tensorflow_session_config_file=str(path),
            tensorflow_intra_op_parallelism=2,
            per_process_gpu_memory_fraction=0.5,
        )
    )
    assert (made.intra_op_parallelism_threads, made.inter_op_parallelism_threads) == (2, 8)
    assert made.log_device_placement
    assert made.gpu_options.per_process_gpu_memory_fraction == 0.5


def test_a_bad_file_is_told_by_its_flag(tmp_path: Path):
    path = tmp_path / "session.config"
    path.write_text("nonsense: 1")
    with pytest.raises(ServingError, match="--tensorflow_session_config_file: Invalid protobuf file"):
        session_config(Flags(tensorflow_session_config_file=str(path)))

"""The model config file: one model's policy is changed in it, and every other byte stays."""

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st

from gateway.backend.model_config import ModelConfigError
from gateway.backend.stubs import ModelServerConfig
from gateway.backend.version_policy import NotWritable, policy_of, read, specific, with_policy, with_versions, write

ROOT = Path(__file__).parents[3]
PLAIN = (ROOT / "serving_config" / "models.config").read_text()

LINES = """# mine { config { name: "digits" } }
model_config_list: {
  config {
    name: "a"  # name: "digits"
    base_path: "/models/a"
    model_platform: "tensorflow"
  },
  config: <
    base_path: "/models/di" 'gits'; name: 'dig'
      "its"
    model_platform: "tensorflow"  # the last one
    # ends here
  >
}
"""
ONE_LINE = 'model_config_list{config{name:"digits" base_path:"/m" model_platform:"tensorflow"}config{name:"b" base_path:"/b"}}'
IN_A_LIST = """model_config_list {
  config: [
    { name: "b" base_path: "/b" model_platform: "tensorflow" },
    { name: "digits", base_path: "/d", model_platform: "tensorflow", }
  ]
}"""
POLICY = """model_config_list {
  config {
    name: "digits"
    model_version_policy: {  # two of them
      latest { num_versions: 2 }
    }  # until the new one is trusted
    base_path: "/m"
  }
}"""
TEXTS = {"compose": PLAIN, "lines": LINES, "one line": ONE_LINE, "in a list": IN_A_LIST, "policy": POLICY}
TEXTS["crlf"] = LINES.replace("\n", "\r\n")


def policies(text: str) -> dict[str, str]:
    config = text_format.Parse(text, ModelServerConfig())
    return {entry.name: str(entry.model_version_policy) for entry in config.model_config_list.config}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_one_policy_is_changed_and_the_rest_stays(text):
    edited = with_versions(text, "digits", [3, 2])
    assert policy_of(edited, "digits").specific == (2, 3)
    assert policies(edited) == policies(text) | {"digits": "specific {\n  versions: 2\n  versions: 3\n}\n"}
    assert "model_version_policy { specific { versions: 2 versions: 3 } }" in edited
    again = with_versions(edited, "digits", [3])
    assert again == edited.replace("versions: 2 versions: 3", "versions: 3")


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_the_former_policy_can_be_put_back(text):
    former = policy_of(text, "digits")
    assert with_policy(with_versions(text, "digits", [2, 3]), "digits", former.source) == text


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        (PLAIN, ['    model_platform: "tensorflow"\n    model_version_policy { specific { versions: 7 } }\n  }\n']),
        (LINES, ['"tensorflow"  # the last one\n    model_version_policy { specific { versions: 7 } }\n    # ends here']),
        (ONE_LINE, ['model_platform:"tensorflow" model_version_policy { specific { versions: 7 } }}config{name:"b"']),
        (IN_A_LIST, ['"tensorflow", model_version_policy { specific { versions: 7 } } }\n  ]']),
        (POLICY, ["    model_version_policy { specific { versions: 7 } }  # until the new one is trusted\n"]),
        (TEXTS["crlf"], ["# the last one\r\n    model_version_policy { specific { versions: 7 } }\r\n    # ends"]),
    ],
    ids=TEXTS,
)
def test_a_policy_is_written_as_a_person_would(text, pieces):
    edited = with_versions(text, "digits", [7])
    assert all(piece in edited for piece in pieces), edited


def test_a_policy_is_told_to_a_person():
    assert policy_of(PLAIN, "digits").text == "no model_version_policy: the latest version"
    assert policy_of(with_versions(PLAIN, "digits", [1]), "digits").text == "model_version_policy { specific { versions: 1 } }"
    assert policy_of(POLICY, "digits").specific is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("model_config_list {", "no ModelServerConfig in text format"),
        ("", "model digits is not in the model config file"),
        (PLAIN.replace('"dense"', '"digits"'), "model digits is more than once"),
    ],
    ids=["broken", "empty", "twice"],
)
def test_what_cannot_be_edited_says_why(text, reason):
    with pytest.raises(ModelConfigError, match=reason):
        with_versions(text, "digits", [1])
    with pytest.raises(ModelConfigError, match=reason):
        policy_of(text, "digits")


def test_a_label_of_a_version_that_goes_is_named():
    text = LINES.replace('"its"', '"its"\n version_labels { key: "stable" value: 2 }')
    assert policy_of(with_versions(text, "digits", [2, 3]), "digits").specific == (2, 3)
    with pytest.raises(ModelConfigError, match="the label 'stable' of model digits names version 2"):
        with_versions(text, "digits", [3])


names = st.text('ab{}#"\\ \n', min_size=1, max_size=6)
spaces = st.sampled_from([" ", "\n", "\t", "\r\n", " # { config \"'\n", "\n  # }\n\n"])
separators = st.sampled_from(["", ",", ";"])


def quoted(text: str, mark: str) -> str:
    escaped = "".join(f"\\{ord(one):03o}" if one in '\n\\"' + mark else one for one in text)
    return f"{mark}{escaped}{mark}"


@st.composite
def configs(draw) -> tuple[str, list[str]]:
    """A file with some entries, written in one of many ways, and the names of its models."""
    models = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    entries = []
    for model in models:
        name = f"name:{draw(spaces)}{quoted(model, draw(st.sampled_from(chr(34) + chr(39))))}"
        fields = [name, 'base_path: "/m"', "model_platform:'tensorflow'"]
        fields += draw(
            st.lists(
                st.sampled_from(
                    [
                        "model_version_policy { all {} }",
                        "model_version_policy: < latest: { num_versions: 2 } >",
                        "model_version_policy{specific{versions:[1,2]}}",
                        "model_version_policy { specific { versions: 4, versions: 0x5 } }",
                    ]
                ),
                max_size=1,
            )
        )
        fields = draw(st.permutations(fields))
        body = "".join(f"{draw(spaces)}{field}{draw(spaces)}{draw(separators)}" for field in fields)
        entries.append(draw(st.sampled_from(["{%s%s}", "<%s%s>"])) % (body, draw(spaces)))
    if draw(st.booleans()):
        listed = f"config: [{','.join(entries)}]"
    else:
        listed = draw(spaces).join(f"config{draw(st.sampled_from([' ', ':']))}{entry}" for entry in entries)
    return f"{draw(spaces)}model_config_list {{ {listed}{draw(spaces)}}}{draw(spaces)}", models


@given(configs(), st.data(), st.sets(st.integers(1, 99), min_size=1, max_size=3))
def test_in_any_file_one_policy_is_changed_and_can_be_put_back(config, data, versions):
    text, models = config
    model = data.draw(st.sampled_from(models))
    before = policy_of(text, model)
    edited = with_versions(text, model, sorted(versions))
    assert policy_of(edited, model).specific == tuple(sorted(versions))
    others = policies(edited)
    del others[model]
    assert others.items() <= policies(text).items()
    assert len(others) == len(models) - 1
    if before.source:
        # Nothing but the field itself.
        assert edited == text.replace(before.source, specific(sorted(versions))) or text.count(before.source) > 1
    assert with_policy(edited, model, before.source) == text


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "models.config"
    path.write_text(LINES)
    path.chmod(0o640)
    return path


def pin(text: str) -> str:
    return with_versions(text, "digits", [2, 3])


def test_a_file_is_replaced_and_keeps_its_mode(path):
    inode = path.stat().st_ino
    assert write(path, pin)
    assert path.read_text() == pin(LINES)
    assert path.stat().st_ino != inode
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(path.parent) == ["models.config"]
    assert not write(path, pin)


def test_a_missing_file_is_not_made(tmp_path):
    with pytest.raises(ModelConfigError, match="No such file"):
        write(tmp_path / "models.config", pin)
    assert not os.listdir(tmp_path)


def test_an_edit_that_is_refused_changes_nothing(path):
    with pytest.raises(ModelConfigError, match="model other is not in"):
        write(path, lambda text: with_versions(text, "other", [1]))
    assert path.read_text() == LINES


@contextmanager
def folder_for_all() -> Iterator[Path]:
    """A folder that every user can read: pytest's own are for its user alone."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # noqa: S103
        yield Path(folder)


def write_as_nobody(folder: Path, text: str) -> str:
    """Pin as a user who may only read; what was said against it."""
    (folder / "models.config").write_text(text)
    code = (
        "import os, pathlib, sys\n"
        "from gateway.backend.version_policy import NotWritable, with_versions, write\n"
        "os.chmod(sys.argv[1], 0o555)\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        "path = pathlib.Path(sys.argv[1], 'models.config')\n"
        "try: print(write(path, lambda text: with_versions(text, 'digits', [2, 3])))\n"
        "except NotWritable as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, folder], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_file_that_cannot_be_written_says_why():
    with folder_for_all() as folder:
        user = os.getuid() or 65534
        expected = f"Permission denied: user {user} must own it, and be able to write its folder"
        assert write_as_nobody(folder, LINES) == expected
        assert read(folder / "models.config") == LINES


def test_a_file_that_is_right_need_not_be_writable():
    with folder_for_all() as folder:
        assert write_as_nobody(folder, pin(LINES)) == "False"


def test_another_process_that_keeps_the_file_is_named(path):
    code = "import fcntl, sys; file = open(sys.argv[1]); fcntl.flock(file, fcntl.LOCK_EX); print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(NotWritable, match="another process keeps it locked"):
            write(path, pin, patience_s=0.05)
        holder.communicate("\n")


def test_processes_that_write_at_once_lose_no_change(path):
    path.write_text("".join(["model_config_list {", *(f' config {{ name: "m{n}" base_path: "/m" }}' for n in range(8)), " }"]))
    code = (
        "import pathlib, sys\nfrom gateway.backend.version_policy import with_versions, write\n"
        "write(pathlib.Path(sys.argv[1]), lambda text: with_versions(text, sys.argv[2], [int(sys.argv[3])]))"
    )
    started = [subprocess.Popen([sys.executable, "-c", code, path, f"m{n}", str(n + 1)], cwd=ROOT) for n in range(8)]
    assert [process.wait(60) for process in started] == [0] * 8
    assert [policy_of(path.read_text(), f"m{n}").specific for n in range(8)] == [(n + 1,) for n in range(8)]


def test_a_label_of_a_version_that_stays_is_no_reason_to_refuse():
    text = with_versions(ONE_LINE, "digits", [1, 2]).replace('name:"digits"', 'name:"digits" version_labels{key:"old" value:1}')
    assert policy_of(with_versions(text, "digits", [1, 2, 3]), "digits").specific == (1, 2, 3)
    with pytest.raises(ModelConfigError, match="the label 'old'"):
        with_versions(text, "digits", [2, 3])

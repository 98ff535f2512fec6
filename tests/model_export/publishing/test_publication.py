"""How versions appear: whole, numbered once, never in place of another; whatever dies on the way."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from model_export.errors import ExportError
from model_export.publishing.publication import delete, publish
from model_export.versions import LARGEST_NUMBER, Version, in_service

REPOSITORY = Path(__file__).parents[3]
PUBLISHER = Path(__file__).with_name("publisher.py")


def start_publisher(model_dir: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, str(PUBLISHER), str(model_dir), *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def write_content(content: str):
    return lambda folder: (folder / "saved_model.pb").write_text(content)


def temporaries(model_dir: Path) -> list[Path]:
    return list(model_dir.glob(".tmp-*"))


def test_versions_are_numbered_from_one_upwards(tmp_path):
    numbers = [publish(tmp_path / "m", write_content("x"))[0].number for _ in range(3)]

    assert numbers == [1, 2, 3]
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == [".last-version", "1", "2", "3"]


@pytest.mark.parametrize("present", ["41", "00000041", "+41", ".withdrawn-41"])
def test_the_next_number_follows_the_highest_that_is_there_in_any_spelling(tmp_path, present):
    (tmp_path / "m" / present).mkdir(parents=True)

    assert publish(tmp_path / "m", write_content("x"))[0].number == 42


def test_a_number_is_not_used_again_after_its_version_is_deleted(tmp_path):
    delete(publish(tmp_path / "m", write_content("x"))[0])

    assert publish(tmp_path / "m", write_content("y"))[0].number == 2


def test_a_plain_file_with_a_number_for_a_name_is_not_replaced(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "1").write_text("keep")

    assert publish(tmp_path / "m", write_content("x"))[0].number == 2
    assert (tmp_path / "m" / "1").read_text() == "keep"


def test_an_empty_directory_that_took_the_number_meanwhile_is_not_replaced(tmp_path):
    """rename(2) alone would replace it."""
    publish(tmp_path / "m", write_content("x"))
    (tmp_path / "m" / ".last-version").write_text("broken")

    def write(folder: Path) -> None:
        (folder / "saved_model.pb").write_text("x")
        (tmp_path / "m" / "2").mkdir()

    assert publish(tmp_path / "m", write)[0].number == 3
    assert list((tmp_path / "m" / "2").iterdir()) == []


def test_the_largest_number_is_the_end(tmp_path):
    (tmp_path / "m" / str(LARGEST_NUMBER)).mkdir(parents=True)

    with pytest.raises(ExportError, match="the largest there is"):
        publish(tmp_path / "m", write_content("x"))
    assert not temporaries(tmp_path / "m")


@pytest.mark.parametrize(
    "failure", [ExportError("no good"), OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), SystemExit(143)]
)
def test_a_failed_preparation_leaves_nothing_behind(tmp_path, failure):
    def write(folder: Path) -> None:
        (folder / "saved_model.pb").write_text("half")
        raise failure

    with pytest.raises(type(failure)):
        publish(tmp_path / "m", write)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_preparation_leaves_earlier_versions_and_their_count_alone(tmp_path):
    publish(tmp_path / "m", write_content("x"))

    with pytest.raises(ZeroDivisionError):
        publish(tmp_path / "m", lambda folder: 1 // 0)
    assert publish(tmp_path / "m", write_content("y"))[0].number == 2
    assert (tmp_path / "m" / "1" / "saved_model.pb").read_text() == "x"


def test_a_version_can_be_read_by_other_users(tmp_path):
    version, _ = publish(tmp_path / "m", write_content("x"))
    umask = os.umask(0)
    os.umask(umask)

    assert version.path.stat().st_mode & 0o777 == 0o777 & ~umask


# Each is the moment just before the call: making the folder `variables`, writing a file, locking, renaming.
@pytest.mark.parametrize(
    ("event", "occurrence"), [("open", 1), ("os.mkdir", 1), ("open", 2), ("open", 4), ("fcntl.flock", 1), ("os.rename", 1)]
)
def test_a_publisher_killed_at_any_moment_leaves_no_version_and_the_next_one_cleans_up(tmp_path, event, occurrence):
    publisher = start_publisher(tmp_path / "m", "half", event, str(occurrence))
    publisher.communicate(timeout=30)

    assert publisher.returncode == -signal.SIGKILL
    assert in_service(tmp_path / "m") == []
    assert len(temporaries(tmp_path / "m")) == 1

    version, _ = publish(tmp_path / "m", write_content("whole"))
    assert not temporaries(tmp_path / "m")
    assert in_service(tmp_path / "m") == [version]


def test_a_killed_publisher_does_not_disturb_the_versions_before(tmp_path):
    first, _ = publish(tmp_path / "m", write_content("first"))
    start_publisher(tmp_path / "m", "second", "os.rename").communicate(timeout=30)

    assert in_service(tmp_path / "m") == [first]
    assert (first.path / "saved_model.pb").read_text() == "first"


def test_the_temporary_folder_of_a_living_publisher_is_left_alone(tmp_path):
    def write(folder: Path) -> None:
        (folder / "saved_model.pb").write_text("slow")
        quick = start_publisher(tmp_path / "m", "quick")
        assert quick.communicate(timeout=30)[0] == "1\n"
        assert (folder / "saved_model.pb").read_text() == "slow"

    version, _ = publish(tmp_path / "m", write)
    assert version.number == 2
    assert (version.path / "saved_model.pb").read_text() == "slow"


def test_publishers_at_the_same_time_get_a_version_each(tmp_path):
    contents = [f"content {n}" for n in range(8)]
    publishers = [start_publisher(tmp_path / "m", content) for content in contents]
    numbers = [int(publisher.communicate(timeout=60)[0]) for publisher in publishers]

    assert sorted(numbers) == list(range(1, 9))
    for number, content in zip(numbers, contents, strict=True):
        assert (tmp_path / "m" / str(number) / "saved_model.pb").read_text() == content
        assert (tmp_path / "m" / str(number) / "variables" / "data").read_text() == content


def test_a_deleted_version_is_hidden_before_its_files_go(tmp_path):
    """A process killed when it begins to remove files has already taken the name away."""
    version, _ = publish(tmp_path / "m", write_content("x"))
    script = (
        "import sys; from pathlib import Path; from model_export.publishing.publication import delete;"
        "from model_export.versions import Version; from tests.model_export.publishing.publisher import die_at;"
        "die_at('shutil.rmtree', 1); delete(Version(1, Path(sys.argv[1])))"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(version.path)], cwd=REPOSITORY, timeout=30, check=False)

    assert killed.returncode == -signal.SIGKILL
    assert in_service(tmp_path / "m") == []
    assert [path.name for path in temporaries(tmp_path / "m")[0].iterdir()] == ["saved_model.pb"]
    publish(tmp_path / "m", write_content("y"))
    assert not temporaries(tmp_path / "m")


def test_versions_compare_by_number():
    assert Version(9, Path("9")) < Version(10, Path("10"))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_that_a_finalizer_swallowed_still_ends_the_publication(tmp_path, number, status):
    script = f"""if True:
        import os, sys
        import click
        from pathlib import Path
        from model_export.exit_status import run
        from model_export.publishing.publication import publish

        class Swallows:
            def __del__(self):
                os.kill(os.getpid(), {int(number)})

        @click.command()
        def cli():
            publish(Path("m"), lambda folder: Swallows() and (folder / "saved_model.pb").write_text("x"))

        sys.exit(run(cli))
    """
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", script]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert "Exception ignored" not in ended.stderr
    assert ended.returncode == status
    assert list(tmp_path.iterdir()) == []

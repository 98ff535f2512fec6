"""A look at a model's servers and at the file."""

from gateway.backend.version_policy import Policies, with_versions
from gateway.errors import DeadlineExceeded, Internal, Unavailable
from gateway.rollout.control.sight import Sights
from tests.event_loop import on_loop, until
from tests.gateway.rollout.control.worlds import PLAIN, status


class Replying:
    def __init__(self, **replies) -> None:
        self.replies = replies

    async def statuses(self, model, within_s):
        return self.replies


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


async def looked(sights: Sights):
    """The next look."""
    before = sights.of("digits")
    sights.look({"digits"})
    return await until(lambda: sights.of("digits") if sights.of("digits") is not before else None)


@on_loop
async def test_a_look_has_what_each_server_says_and_what_the_file_says(tmp_path):
    file = tmp_path / "models.config"
    file.write_text(PLAIN)
    sights = Sights(Replying(one=status(2), two=Unavailable("away")), file)
    seen = await looked(sights)
    assert (seen.told, seen.silent, seen.policy.specific, seen.looks) == ({"one": status(2)}, {"two": "away"}, None, 1)
    assert (await looked(sights)).looks == 2
    file.write_text("model_config_list {")
    broken = await looked(sights)
    assert (broken.policy, broken.looks) == (None, 1)
    assert broken.file_problem.startswith("no ModelServerConfig")
    file.unlink()
    assert (await looked(sights)).file_problem.endswith("No such file or directory")
    await sights.close()


@on_loop
async def test_the_file_is_parsed_once_for_all_models_and_looks_until_its_text_changes(tmp_path):
    """In a file of a thousand models that takes most of a second, and each model with a rollout is looked at each second."""
    models = [f"m{number}" for number in range(20)]
    entries = "".join(f'config {{ name: "{name}" base_path: "/{name}" model_platform: "tensorflow" }}\n' for name in models)
    file, parsed = tmp_path / "models.config", []

    def policies(text):
        parsed.append(text)
        return Policies(text)

    def replace(text):
        """As one step, because looks that have begun may read the file meanwhile."""
        (tmp_path / "new").write_text(text)
        (tmp_path / "new").rename(file)

    sights = Sights(Replying(), file, policies=policies)

    async def told(is_right):
        """Look until each model was seen as ``is_right`` says, ten times."""

        def is_told():
            sights.look(models)
            return all(seen and is_right(seen) and seen.looks >= 10 for seen in map(sights.of, models))

        await until(is_told)

    await told(lambda seen: seen.file_problem == f"{file}: No such file or directory")
    texts = [f"model_config_list {{ {entries} }}"]
    texts += [with_versions(texts[0], "m7", [version]) for version in (1, 2)]  # of one length
    for text, versions in zip(texts, (None, (1,), (2,)), strict=True):
        replace(text)
        await until(lambda: sights.look(models) or sights.of("m7").policy == Policies(text).of("m7"))  # noqa: B023
        assert sights.of("m7").policy.specific == versions
        await told(lambda seen: seen.policy is not None)
    replace("model_config_list {")
    await told(lambda seen: seen.file_problem.startswith("no ModelServerConfig"))
    file.unlink()
    await told(lambda seen: seen.file_problem.endswith("No such file or directory"))
    assert parsed == [*texts, "model_config_list {"]
    await sights.close()


@on_loop
async def test_a_busy_server_serves_what_it_said_last_for_a_while():
    clock = Clock()
    servers = Replying(one=status(3, 2), two=status(3, 2))
    sights = Sights(servers, None, clock)
    assert set((await looked(sights)).told) == {"one", "two"}
    servers.replies = {"one": DeadlineExceeded("late"), "two": Internal("odd"), "three": DeadlineExceeded("late")}
    clock.now_s = 29.0
    seen = await looked(sights)
    assert seen.told == {"one": status(3, 2)}
    assert seen.silent == {"two": "odd", "three": "late"}
    clock.now_s = 31.0
    assert (await looked(sights)).told == {}
    await sights.close()


@on_loop
async def test_a_model_that_has_no_plan_any_more_is_forgotten():
    sights = Sights(Replying(one=status(2)), None)
    await looked(sights)
    sights.look(set())
    assert sights.of("digits") is None
    await sights.close()

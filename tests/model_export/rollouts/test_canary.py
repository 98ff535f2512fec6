"""The steps of a publication that is a rollout, in order, and what is said when one of them fails."""

import pytest

from model_export.errors import ExportError
from model_export.rollouts.admin_api import GatewayAwayError, GatewayRefusedError, admin_api
from model_export.rollouts.canary import FOLLOWED_S, PINNED_AFTER_S, Canary
from tests.model_export.rollouts.fake_gateway import KEY, PINNED, plan

GO_ON = "run the same command again, or take `model_version_policy` out of its entry in the model config file"


class Clock:
    """Time that passes only by waiting."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.waits: list[float] = []

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now_s += seconds

    def now(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def canary(gateway, clock) -> Canary:
    return Canary(admin_api(gateway.url, KEY), "m", {"steps": "10%:10m"}, clock.wait, clock.now)


@pytest.fixture
def model_dir(tmp_path):
    (tmp_path / "m" / "1").mkdir(parents=True)
    return tmp_path / "m"


class TestBeforeTheWork:
    def test_a_model_in_service_without_a_rollout_may_go_on(self, gateway, canary, model_dir):
        canary.check(model_dir)
        gateway.runs(plan("rolled_back"))
        canary.check(model_dir)

        assert set(gateway.calls()) == {"GET /admin/rollouts"}

    def test_a_rollout_that_runs_is_told(self, gateway, canary, model_dir):
        gateway.runs(plan("holding"))

        with pytest.raises(ExportError, match=r"runs already \(m-2-f4a1: holding\).*`python -m gateway rollout abort m`"):
            canary.check(model_dir)

    def test_a_first_version_has_nothing_to_be_rolled_out_from(self, gateway, canary, tmp_path):
        with pytest.raises(ExportError, match=r"m has no version in service.*publish it without --rollout"):
            canary.check(tmp_path / "m")
        assert gateway.calls() == []

    def test_a_gateway_without_keys_is_told(self, gateway, canary, model_dir):
        gateway.refuses("GET", "/admin/rollouts", 403, "keys are off; python -m gateway keys new makes one")

        with pytest.raises(GatewayRefusedError, match="403: keys are off; python -m gateway keys new makes one"):
            canary.check(model_dir)


class TestPin:
    def test_servers_that_have_confirmed_it_are_not_waited_for(self, gateway, canary, clock):
        told: list[str] = []
        canary.pin(told.append)

        assert gateway.asked == [("POST", "/admin/rollouts/m/pin", {})]
        assert told == ["pinning the versions that serve", "pinned version 1"]
        assert clock.waits == []

    @pytest.mark.parametrize(
        ("servers", "why"),
        [({"a:1": "UNIMPLEMENTED: no", "b:1": ""}, "a:1: UNIMPLEMENTED: no"), ({}, "no model server has confirmed it")],
        ids=["one says why", "nobody says why"],
    )
    def test_servers_that_could_not_be_told_are_given_two_polls_of_time(self, gateway, canary, clock, servers, why):
        gateway.answers["POST", "/admin/rollouts/m/pin"] = (200, PINNED | {"confirmed": False, "servers": servers})
        told: list[str] = []
        canary.pin(told.append)

        assert clock.waits == [PINNED_AFTER_S]
        assert f"they could not be told ({why}): waiting 12 s" in told[-1]

    def test_without_a_version_that_serves_nothing_appears(self, gateway, canary):
        gateway.answers["POST", "/admin/rollouts/m/pin"] = (200, PINNED | {"versions": []})

        with pytest.raises(ExportError, match="no version of m is AVAILABLE"):
            canary.pin(lambda step: None)


class TestWhatIsLeft:
    def test_a_failure_before_the_pin_leaves_nothing(self, canary):
        with pytest.raises(ZeroDivisionError), canary.telling_what_is_left(pytest.fail):
            raise ZeroDivisionError

    def test_a_refused_pin_leaves_nothing(self, gateway, canary):
        gateway.refuses("POST", "/admin/rollouts/m/pin", 409, "the file cannot be written")

        with pytest.raises(GatewayRefusedError), canary.telling_what_is_left(pytest.fail):
            canary.pin(lambda step: None)

    def test_a_pin_without_an_answer_may_be_there(self, gateway, canary):
        gateway.answers["POST", "/admin/rollouts/m/pin"] = (503, {"message": "away"})
        warned: list[str] = []

        with pytest.raises(GatewayAwayError), canary.telling_what_is_left(warned.append):
            canary.pin(lambda step: None)
        assert warned == [f"the versions that serve m may be pinned: {GO_ON} to serve the newest version"]

    @pytest.mark.parametrize("error", [ExportError("no space left"), KeyboardInterrupt()], ids=["failed", "interrupted"])
    def test_a_failure_after_the_pin_leaves_it_and_says_how_to_go_on(self, canary, error):
        warned: list[str] = []

        def fail() -> None:
            with canary.telling_what_is_left(warned.append):
                canary.pin(lambda step: None)
                raise error

        with pytest.raises(type(error)):
            fail()
        assert warned == [f"version 1 of m stays pinned: {GO_ON} to serve the newest version"]

    @pytest.mark.parametrize("status", [409, 400, 503])
    def test_a_start_that_fails_leaves_a_published_version_that_nobody_serves(self, gateway, canary, status):
        gateway.refuses("POST", "/admin/rollouts/m", status, "it has its reasons")
        warned: list[str] = []

        with pytest.raises(ExportError, match=f"{status}: it has its reasons"), canary.telling_what_is_left(warned.append):
            canary.start(2, lambda step: None)
        assert warned == [
            "version 2 of m is published, and no server takes it while the others are pinned;"
            " go on with `python -m gateway rollout start m --canary 2`,"
            " or take it back with `python -m model_export rollback m`"
        ]

    def test_after_a_start_an_interruption_leaves_nothing_to_do(self, gateway, canary):
        gateway.runs(plan("running"))

        def interrupted() -> None:
            with canary.telling_what_is_left(pytest.fail):
                canary.pin(lambda step: None)
                canary.start(2, lambda step: None)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()


class TestStart:
    def test_what_is_wanted_is_sent_with_the_version_and_followed_until_callers_get_answers(self, gateway, canary, clock):
        gateway.runs(plan("loading", stable=None), plan("loading"), plan("warming"), plan("running"))
        told: list[str] = []
        rollout = canary.start(2, told.append)

        assert (rollout.state, rollout.stable) == ("running", 1)
        assert gateway.asked[0] == ("POST", "/admin/rollouts/m", {"steps": "10%:10m", "canary": 2})
        assert told == [
            "starting the rollout of version 2",
            "m-2-f4a1 is draft",
            "m-2-f4a1 is loading",
            "m-2-f4a1 is warming",
            "m-2-f4a1 is running",
        ]
        assert len(clock.waits) == 4

    def test_a_rollout_that_is_refused_later_is_an_error_with_the_reason(self, gateway, canary):
        gateway.runs(plan("loading"), plan("refused", reason="version 2 failed: INVALID_ARGUMENT: no SavedModel"))
        warned: list[str] = []

        told = "the rollout m-2-f4a1 was refused: version 2 failed: INVALID_ARGUMENT: no SavedModel"
        with pytest.raises(ExportError, match=told), canary.telling_what_is_left(warned.append):
            canary.start(2, lambda step: None)
        assert len(warned) == 1

    def test_a_version_that_loads_for_long_is_left_to_the_gateway(self, gateway, canary, clock):
        gateway.runs(plan("loading"))

        assert canary.start(2, lambda step: None).state == "loading"
        assert FOLLOWED_S <= clock.now_s <= FOLLOWED_S + 2

    def test_a_gateway_that_is_away_for_a_moment_is_asked_again(self, gateway, canary):
        away, running = (503, {"message": "away"}), (200, {"rollouts": [plan("running")]})
        gateway.answers["GET", "/admin/rollouts"] = [away, running]

        assert canary.start(2, lambda step: None).state == "running"

    def test_the_next_rollout_of_the_model_is_not_taken_for_this_one(self, gateway, canary):
        gateway.runs(plan("running", id="m-3-0000"))

        assert canary.start(2, lambda step: None).id == "m-2-f4a1"

"""Where a request goes: by chance or by its caller, and never away from the canary when the weight rises."""

import random
from ipaddress import ip_network

import pytest

from gateway.rollout.live.rollouts import Rollouts
from gateway.rollout.plan import WHOLE, Arm, Hold, State
from gateway.telemetry.trace import Sender
from tests.gateway.rollout.live.scene import plan


def running(proxies=(), **values):
    rollouts = Rollouts(proxies, draw=random.Random(7).random)
    rollouts.use([plan(**values)])
    return rollouts.of("m")


def sender(key=None, client="127.0.0.1", **headers) -> Sender:
    return Sender("id", {name.replace("_", "-"): value for name, value in headers.items()}, client, key)


def test_of_ten_thousand_keys_a_tenth_is_the_canarys_and_as_many_the_baselines():
    placed = running(mode="key")
    arms = [placed.place(sender(key=f"key-{number}")).arm for number in range(10_000)]
    assert arms.count(Arm.CANARY) == pytest.approx(1000, abs=90)
    assert arms.count(Arm.BASELINE) == pytest.approx(1000, abs=90)


def test_a_key_that_is_the_canarys_stays_there_while_the_weight_rises():
    before = set()
    for weight in (10_000, 100_000, 250_000, 500_000, 1_000_000):
        placed = running(mode="key", weight=weight)
        canary = {number for number in range(10_000) if placed.place(sender(key=str(number))).arm is Arm.CANARY}
        assert before <= canary
        before = canary


def test_of_a_hundred_thousand_requests_each_of_which_chance_places_a_tenth_is_the_canarys():
    placed = running()
    arms = [placed.place(sender()).arm for _ in range(100_000)]
    assert arms.count(Arm.CANARY) == pytest.approx(10_000, abs=300)
    assert arms.count(Arm.BASELINE) == pytest.approx(10_000, abs=300)


@pytest.mark.parametrize(("weight", "arm"), [(0, Arm.STABLE), (WHOLE, Arm.CANARY)], ids=["none", "all"])
@pytest.mark.parametrize("mode", ["per-request", "key", "address", "header:x-user"])
def test_no_weight_and_the_whole_are_exact(mode, weight, arm):
    placed = running(mode=mode, weight=weight)
    senders = [sender(key=str(number), client=f"10.0.0.{number}", x_user=str(number)) for number in range(200)]
    assert {placed.place(one).arm for one in senders} == {arm}
    assert not placed.is_counted


@pytest.mark.parametrize(
    ("mode", "known", "unknown"),
    [
        ("key", {"key": "anna"}, {}),
        ("header:x-user", {"x_user": "anna"}, {"x_user": ""}),
        ("address", {"client": "2001:db8::1"}, None),
    ],
    ids=["key", "header", "address"],
)
def test_a_caller_is_known_by_what_the_mode_says_and_else_it_is_stables(mode, known, unknown):
    placed = running(mode=mode, weight=999_999)
    assert placed.place(sender(**known)).arm is Arm.CANARY
    assert placed.place(sender(**known)).cell is not None
    if unknown is not None:
        assert placed.place(sender(**unknown)) == (Arm.STABLE, None)
    assert placed.place(None) == (Arm.STABLE, None)


def test_behind_a_proxy_the_address_that_it_tells_counts_and_no_other():
    placed = running(proxies=(ip_network("10.0.0.0/8"),), mode="address", weight=500_000)
    behind = {placed.place(sender(client="10.0.0.1", x_forwarded_for=f"192.0.2.{number}")) for number in range(100)}
    assert {place.arm for place in behind} == {Arm.CANARY, Arm.BASELINE}
    told = {placed.place(sender(client="192.0.2.7", x_forwarded_for=f"198.51.100.{number}")) for number in range(100)}
    assert len(told) == 1


def test_addresses_of_one_ipv6_network_are_one_caller():
    placed = running(mode="address")
    assert placed.place(sender(client="2001:db8::1")) == placed.place(sender(client="2001:db8::2"))


def test_each_arm_has_its_version_and_a_lane_of_its_own():
    placed = running()
    assert {arm: (placed.ref(arm).version, placed.ref(arm).lane) for arm in Arm} == {
        Arm.STABLE: (1, ""),
        Arm.BASELINE: (1, "baseline"),
        Arm.CANARY: (2, "canary"),
    }
    assert (placed.check_ref(Arm.CANARY).version, placed.check_ref(Arm.CANARY).lane) == (2, "shadow")


@pytest.mark.parametrize(
    ("values", "arm"),
    [
        ({"state": State.LOADING}, Arm.STABLE),
        ({"state": State.WARMING}, Arm.STABLE),
        ({"state": State.HOLDING, "hold": Hold.NOT_LOADED}, Arm.STABLE),
        ({"state": State.ROLLED_BACK}, Arm.STABLE),
        ({"state": State.ABORTED}, Arm.STABLE),
        ({"state": State.PROMOTING}, Arm.CANARY),
        ({"state": State.BAKE_AFTER}, Arm.CANARY),
        ({"state": State.DONE}, Arm.CANARY),
    ],
    ids=lambda value: value if isinstance(value, str) else value.get("hold") or value["state"],
)
def test_every_request_goes_to_one_version_while_the_state_says_so(values, arm):
    placed = running(weight=999_999, **values)
    assert {placed.place(sender()).arm for _ in range(100)} == {arm}
    assert not placed.is_counted

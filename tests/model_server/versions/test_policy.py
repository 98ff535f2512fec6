"""Which version is loaded or unloaded next."""

import pytest

from model_server.versions.policy import Action, Verb, VersionView, next_action


def new(version: int) -> VersionView:
    return VersionView(version, aspired=True, new=True)


def ready(version: int, aspired: bool = True) -> VersionView:
    return VersionView(version, aspired=aspired, ready=True)


def failed(version: int) -> VersionView:
    return VersionView(version, aspired=True, failed=True)


def returning(version: int) -> VersionView:
    """Ready with files that are not those that are wanted now."""
    return VersionView(version, aspired=False, ready=True, returning=True)


def busy(version: int, aspired: bool = True) -> VersionView:
    """Loading or unloading: neither new nor ready."""
    return VersionView(version, aspired=aspired)


LOAD, UNLOAD = Verb.LOAD, Verb.UNLOAD


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        pytest.param([], None, id="nothing is known"),
        pytest.param([new(1), new(3), new(2)], Action(LOAD, 3), id="the highest new version loads first"),
        pytest.param([ready(1)], None, id="all is well"),
        pytest.param([ready(1, aspired=False), new(2)], Action(LOAD, 2), id="the old one stays while the new one loads"),
        pytest.param([ready(1, aspired=False), busy(2)], None, id="the old one stays while the new one is loading"),
        pytest.param([ready(1, aspired=False), failed(2)], None, id="the old one stays after the new one failed"),
        pytest.param([returning(1)], Action(UNLOAD, 1), id="one that returns with other files goes first"),
        pytest.param([returning(1), new(2)], Action(LOAD, 2), id="one that returns stays until another can serve"),
        pytest.param([returning(1), busy(2)], None, id="one that returns stays while another is loading"),
        pytest.param([returning(1), failed(2)], Action(UNLOAD, 1), id="one that returns goes when no other can serve"),
        pytest.param([ready(1, aspired=False), ready(2)], Action(UNLOAD, 1), id="the old one goes once the new one serves"),
        pytest.param(
            [ready(1, aspired=False), ready(2, aspired=False), new(3)],
            Action(UNLOAD, 1),
            id="several old ones are reduced to one before loading",
        ),
        pytest.param([ready(1, aspired=False)], Action(UNLOAD, 1), id="nothing is wished for"),
        pytest.param([ready(2, aspired=False), new(1)], Action(LOAD, 1), id="a rollback loads the lower one first"),
        pytest.param([ready(2, aspired=False), ready(1)], Action(UNLOAD, 2), id="a rollback then unloads the higher one"),
        pytest.param([busy(1, aspired=False), ready(2)], None, id="what is unloading is left alone"),
    ],
)
def test_next_action(versions: list[VersionView], expected: Action | None):
    assert next_action(versions) == expected

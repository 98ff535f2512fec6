"""The dashboard for Grafana: made from the list of panels, and valid by Grafana's published types."""

import enum
import hashlib
import json
import types
import typing
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.observability.__main__ import FILE, text
from deploy.observability.grafana import dashboard
from deploy.observability.panels import PANELS
from tests.stack.conftest import ROOT

UPLOT = ROOT / "deploy" / "observability" / "page" / "vendor" / "uplot"


def test_the_committed_dashboard_is_that_of_the_panels():
    assert FILE.read_text() == text(), "run: python -m deploy.observability dashboard"


def test_every_panel_is_in_the_dashboard_with_all_of_its_queries():
    shown = {panel["title"]: panel for panel in dashboard()["panels"] if panel["type"] != "row"}
    assert {title: len(panel["targets"]) for title, panel in shown.items()} == {
        panel.title: len(panel.queries) for panel in PANELS
    }
    assert "$window" not in text()


def test_the_times_of_requests_have_their_exemplars_once_in_each_panel():
    shown = {panel["title"]: panel["targets"] for panel in dashboard()["panels"] if panel["type"] != "row"}
    with_exemplars = {title: sum(target.get("exemplar", False) for target in targets) for title, targets in shown.items()}
    assert {title: number for title, number in with_exemplars.items() if number} == {
        title: 1 for title, targets in shown.items() if "gateway_request_seconds_bucket" in targets[0]["expr"]
    }


def test_no_panel_covers_another():
    covered = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & covered, panel["title"]
        assert place["x"] + place["w"] <= 24
        covered |= cells


def read_by_grafanas_types() -> Dashboard:
    register_default_plugins()
    return Dashboard.from_json(dashboard())


def test_grafanas_types_know_every_field_of_the_dashboard():
    """What they do not know, they drop."""
    kept = json.loads(json.dumps(read_by_grafanas_types(), cls=JSONEncoder))
    assert list(lost(dashboard(), kept)) == []


def lost(given, kept, place="dashboard"):
    """Where ``kept`` lacks something of ``given``, or has something else. It may have more: defaults."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for name, value in given.items():
            yield from lost(value, kept[name], f"{place}.{name}") if name in kept else [f"{place}.{name}"]
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for index, (one, other) in enumerate(zip(given, kept, strict=True)):
            yield from lost(one, other, f"{place}[{index}]")
    elif given != kept:
        yield f"{place}: {given!r} became {kept!r}"


def test_every_value_of_the_dashboard_has_the_type_that_grafana_says():
    assert list(misfits(read_by_grafanas_types(), Dashboard, "dashboard")) == []


def misfits(value, hint, place):  # noqa: PLR0912 (one branch for each kind of type)
    """Where ``value``, or what is in it, is not what the type ``hint`` says."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if all(list(misfits(value, one, place)) for one in arguments):
            yield f"{place}: {value!r} is none of {arguments}"
    elif origin is typing.Literal:
        if value not in arguments:
            yield f"{place}: {value!r} is none of {arguments}"
    elif origin is list:
        if not isinstance(value, list):
            yield f"{place}: {value!r} is no list"
        else:
            for index, one in enumerate(value):
                yield from misfits(one, arguments[0], f"{place}[{index}]")
    elif origin is dict:
        for name, one in value.items():
            yield from misfits(one, arguments[1], f"{place}.{name}")
    elif isinstance(hint, type) and issubclass(hint, enum.Enum):
        if value not in [one.value for one in hint]:
            yield f"{place}: {value!r} is none of {list(hint)}"
    elif hint is float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            yield f"{place}: {value!r} is no number"
    elif hint in (str, int, bool, type(None)):
        if type(value) is not (type(None) if hint is None else hint):
            yield f"{place}: {value!r} is no {hint}"
    elif type(value).__module__.startswith("grafana_foundation_sdk.models"):
        # What a panel's options and queries are is only known by the kind of the panel.
        hints = typing.get_type_hints(type(value))
        for name, one in vars(value).items():
            yield from misfits(one, hints[name], f"{place}.{name}")


def test_a_value_of_another_type_is_found():
    spoiled = dashboard()
    spoiled["panels"][1]["gridPos"]["h"] = "8"
    spoiled["graphTooltip"] = 7
    register_default_plugins()
    found = list(misfits(Dashboard.from_json(spoiled), Dashboard, "dashboard"))
    assert len(found) == 2


def test_a_field_that_grafana_does_not_know_is_found():
    spoiled = dashboard()
    spoiled["panels"][1]["fieldConfig"]["defaults"]["maximum"] = 3
    register_default_plugins()
    kept = json.loads(json.dumps(Dashboard.from_json(spoiled), cls=JSONEncoder))
    assert list(lost(spoiled, kept)) == ["dashboard.panels[1].fieldConfig.defaults.maximum"]


def test_uplot_is_as_it_was_published():
    digests = [line.split() for line in (UPLOT / "SHA256SUMS").read_text().splitlines()]
    for digest, name in digests:
        assert hashlib.sha256((UPLOT / name).read_bytes()).hexdigest() == digest
    assert {name for _, name in digests} | {"SHA256SUMS", "README.md"} == {path.name for path in Path(UPLOT).iterdir()}

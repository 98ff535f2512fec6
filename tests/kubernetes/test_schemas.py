"""Every rendering is valid for every version of Kubernetes that is supported, and a misspelled field is not."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kubernetes.rendering import COMPONENTS, OVERLAYS, RENDERINGS, rendering
from tests.kubernetes.schemas import VERSIONS, is_custom, problem

# Under these names are maps whose keys are free.
FREE = {"labels", "matchLabels", "requests", "limits", "data"}
FREE_OF = {("Service", "selector"), ("ScaledObject", "metadata")}


def kinds() -> dict[str, dict[str, Any]]:
    """Kind -> the longest document of it in any rendering."""
    found: dict[str, dict[str, Any]] = {}
    for name in RENDERINGS:
        for document in rendering(name):
            found[document["kind"]] = max(document, found.get(document["kind"], {}), key=lambda one: len(str(one)))
    return found


def misspelled(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """``document`` with one field misspelled, once for each field that has a fixed name."""
    for path in _paths(document, document["kind"]):
        changed = copy.deepcopy(document)
        inner: Any = changed
        for step in path[:-1]:
            inner = inner[step]
        # Two letters change their places, or one comes twice.
        name = path[-1]
        wrong = name[1] + name[0] + name[2:] if name[0] != name[1] else name[0] + name
        inner[wrong] = inner.pop(name)
        yield ".".join(map(str, path)), changed


def _paths(node: Any, kind: str, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(node, list):
        for at, inner in enumerate(node):
            yield from _paths(inner, kind, (*path, at))
    if not isinstance(node, dict):
        return
    for name, inner in node.items():
        here = (*path, name)
        if here not in (("kind",), ("apiVersion",)):  # by these its schema is found
            yield here
        is_free = name in FREE or ((kind, name) in FREE_OF and len(here) > 1)
        if not is_free:
            yield from _paths(inner, kind, here)


@pytest.mark.parametrize("name", RENDERINGS)
def test_a_rendering_is_valid_for_every_version(name):
    for version in VERSIONS:
        if "models-image" in name and version == "1.30":
            continue
        assert [wrong for document in rendering(name) if (wrong := problem(document, version))] == [], version


def test_an_image_as_a_volume_needs_a_later_version():
    problems = [problem(document, "1.30") for document in rendering("base+models-image")]
    [wrong] = filter(None, problems)
    assert "spec.template.spec.volumes" in wrong
    assert "'image' was unexpected" in wrong


@pytest.mark.parametrize("kind", sorted(kinds()))
def test_any_misspelled_field_of_a_kind_is_found(kind):
    document = kinds()[kind]
    # The first and the last: a field is known or not known by its name, and few names have come in between.
    for version in ["own"] if is_custom(document) else [VERSIONS[1], VERSIONS[-1]]:
        assert problem(document, version) is None
        cases = dict(misspelled(document))
        assert len(cases) >= 4
        assert [path for path, changed in cases.items() if problem(changed, version) is None] == []


def test_every_folder_is_rendered():
    rendered = {folder for folder, _ in RENDERINGS.values()}
    assert {f"overlays/{name}" for name in OVERLAYS} <= rendered
    assert {component for _, components in RENDERINGS.values() for component in components} == set(COMPONENTS)


def test_no_rendering_names_a_namespace():
    for name in RENDERINGS:
        assert [document for document in rendering(name) if "namespace" in document["metadata"]] == []

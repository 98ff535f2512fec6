"""The rendered documents, and what the kubelet takes from them for a container: environment and volumes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

Document: TypeAlias = dict[str, Any]

# What the kubelet names memory with, and what mount(8) does.
_UNITS = {"Ki": "k", "Mi": "m", "Gi": "g"}


@dataclass(frozen=True)
class Manifests:
    """``documents`` as rendered. ``secrets``: name -> key -> text. ``claims``: name of a volume claim -> folder."""

    documents: list[Document]
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    claims: Mapping[str, Path] = field(default_factory=dict)

    def of_kind(self, kind: str) -> list[Document]:
        """All documents of ``kind``."""
        return [document for document in self.documents if document["kind"] == kind]

    def named(self, kind: str, name: str) -> Document:
        """The one document. Raises ValueError if it is missing."""
        for document in self.of_kind(kind):
            if document["metadata"]["name"] == name:
                return document
        raise ValueError(f"no {kind} {name!r} was rendered")

    def config_map(self, name: str) -> Mapping[str, str]:
        """What a ConfigMap holds: key -> text."""
        return self.named("ConfigMap", name).get("data", {})

    def environment(self, container: Document, fields: Mapping[str, str]) -> dict[str, str]:
        """The variables of ``container``; ``fields`` are what the downward API knows of its Pod.

        Raises ValueError for a source that is missing and not optional, and for what the simulation does not know.
        """
        found: dict[str, str] = {}
        for source in container.get("envFrom", []):
            found |= self._all_of(source)
        for entry in container.get("env", []):
            value = entry["value"] if "value" in entry else self._from(entry["name"], entry["valueFrom"], fields)
            if value is not None:
                found[entry["name"]] = value
        for name, value in found.items():
            if "$(" in value:
                raise ValueError(f"variable {name}: expected no $(...), which the simulation does not expand, not {value!r}")
        return found

    def _from(self, variable: str, source: Document, fields: Mapping[str, str]) -> str | None:
        if "fieldRef" in source:
            path = source["fieldRef"]["fieldPath"]
            if path not in fields:
                raise ValueError(f"variable {variable}: expected one of the fields {sorted(fields)}, not {path!r}")
            return fields[path]
        [(kind, reference)] = source.items()
        value = self._store(kind.removesuffix("KeyRef"), reference).get(reference["key"])
        if value is None and not reference.get("optional"):
            raise ValueError(f"variable {variable}: {reference['name']!r} has no key {reference['key']!r}")
        return value

    def _all_of(self, source: Document) -> Mapping[str, str]:
        [(kind, reference)] = source.items()
        return self._store(kind.removesuffix("Ref"), reference)

    def _store(self, kind: str, reference: Document) -> Mapping[str, str]:
        if kind not in ("secret", "configMap"):
            raise ValueError(f"a value of a {kind}: expected one of a ConfigMap, a Secret or a field")
        name = reference["name"]
        try:
            return self.config_map(name) if kind == "configMap" else self._secret(name)
        except ValueError:
            if reference.get("optional"):
                return {}
            raise

    def _secret(self, name: str) -> Mapping[str, str]:
        if name not in self.secrets:
            raise ValueError(f"no Secret {name!r} was given")
        return self.secrets[name]

    def volume(self, volume: Document, folder: Path) -> "Volume":
        """What ``volume`` of a Pod is here. Its files are written into ``folder``, which belongs to the Pod and this volume."""
        [kind] = volume.keys() - {"name"}
        source = volume[kind]
        if kind == "persistentVolumeClaim":
            return Volume(self.claims[source["claimName"]])
        if kind == "emptyDir" and source.get("medium") == "Memory":
            return Volume(None, _size(source["sizeLimit"]))
        folder.mkdir(parents=True)
        if kind == "emptyDir":
            folder.chmod(0o777)
            return Volume(folder)
        if kind not in ("configMap", "secret"):
            raise ValueError(f"volume {volume['name']!r}: the simulation has no {kind}")
        store = self.config_map(source["name"]) if kind == "configMap" else self._secret(source["secretName"])
        for key, text in store.items():
            (folder / key).write_text(text)
        return Volume(folder)


@dataclass(frozen=True)
class Volume:
    """A folder of this machine, or without one a memory file system of ``size`` (as mount(8) takes it)."""

    folder: Path | None
    size: str = ""


def _size(quantity: str) -> str:
    return quantity[:-2] + _UNITS[quantity[-2:]]

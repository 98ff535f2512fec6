"""Which fields Kubernetes, KEDA and prometheus-operator know, offline.

Kubernetes: the schemas of PyPI's kubernetes-validate, those that refuse unknown fields. KEDA and prometheus-operator: PyPI's
cloudcoil-models, which are made from the CRDs of one version each, and are turned into schemas that refuse unknown fields too.
"""

import json
import re
from functools import cache
from typing import Any

import jsonschema
import referencing
from kubernetes_validate.utils import all_versions, major_minor, schema_contents

VERSIONS = tuple(f"1.{minor}" for minor in range(30, 38))
CUSTOM = {"keda.sh/v1alpha1", "monitoring.coreos.com/v1"}


def is_custom(document: dict[str, Any]) -> bool:
    """Whether ``document`` is not of Kubernetes itself."""
    return document["apiVersion"] in CUSTOM


def problem(document: dict[str, Any], version: str) -> str | None:
    """What is wrong with ``document`` for Kubernetes ``version``, or None. Custom kinds have one version only."""
    return _problem(json.dumps(document, sort_keys=True), "" if is_custom(document) else version)


@cache
def _problem(text: str, version: str) -> str | None:
    document = json.loads(text)
    kind = document["kind"]
    validator = _of_kubernetes(document["apiVersion"], kind, version) if version else _of_others(kind)
    error = next(validator.iter_errors(document), None)
    return error and f"{kind} {document.get('metadata')}: {error.json_path}: {error.message[:300]}"


@cache
def _of_kubernetes(api_version: str, kind: str, version: str) -> Any:
    """What kubernetes-validate validates with, which it reads again for each document: that takes a tenth of a second."""
    [full] = {known for known in all_versions() if major_minor(known) == version}
    folder = f"kubernetes-json-schema/v{full}-local-strict"
    group = re.sub(r"^([^./]*)(\.[^/]*)?/", r"\1-", api_version)
    schema = schema_contents(f"{folder}/{kind.lower()}-{group}.json", version)
    return jsonschema.Draft202012Validator(schema, registry=_definitions(folder, version))


@cache
def _definitions(folder: str, version: str) -> Any:
    contents = schema_contents(f"{folder}/_definitions.json", version)
    return referencing.Resource.from_contents(contents) @ referencing.Registry()


@cache
def _of_others(kind: str) -> Any:
    # Importing the types takes seconds.
    from cloudcoil.models.keda import v1alpha1 as keda
    from cloudcoil.models.prometheus_operator import v1 as prometheus_operator

    model = {"ScaledObject": keda.ScaledObject, "ServiceMonitor": prometheus_operator.ServiceMonitor}[kind]
    return jsonschema.Draft202012Validator(_closed(model.model_json_schema(by_alias=True)))


def _closed(schema: Any) -> Any:
    """``schema`` without room for members that it does not name."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(part) for name, part in schema.items()}
    if isinstance(closed.get("properties"), dict) and "additionalProperties" not in closed:
        closed["additionalProperties"] = False
    return closed

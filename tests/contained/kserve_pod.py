"""The Pod that KServe's controller makes of a ServingRuntime and an InferenceService, as far as ours need it.

After ``components/predictor.go`` and ``utils/utils.go`` of pkg/controller/v1beta1/inferenceservice in kserve/kserve. The fields
of the model are merged into kserve-container, those of an equally named container into transformer-container: variables by
name, while ``args`` are joined. ``{{.Name}}`` is replaced in these two containers and in no other.
"""

import json
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "kserve"
RUNTIMES = ("runtime.yaml", "runtime-one-container.yaml")
SERVICES = ("inferenceservice-v1.yaml", "inferenceservice-v2.yaml")

_OF_KSERVE = ("modelFormat", "protocolVersion", "runtime", "runtimeVersion", "storage", "storageUri")
_REPLACED = ("kserve-container", "transformer-container")

Json = dict[str, Any]


def load(name: str) -> Json:
    return yaml.safe_load((FOLDER / name).read_text())


def chosen_runtime(service: Json) -> Json:
    """The runtime that the service names, or else the one of the highest priority that takes format and protocol."""
    model, runtimes = service["spec"]["predictor"]["model"], [load(name) for name in RUNTIMES]
    if "runtime" in model:
        return next(runtime for runtime in runtimes if runtime["metadata"]["name"] == model["runtime"])
    fits = [
        (entry["priority"], runtime["metadata"]["name"], runtime)
        for runtime in runtimes
        for entry in runtime["spec"]["supportedModelFormats"]
        if entry["name"] == model["modelFormat"]["name"] and entry.get("autoSelect")
        if model.get("protocolVersion", "v1") in runtime["spec"]["protocolVersions"]
    ]
    return max(fits)[-1]


def pod(runtime: Json, service: Json) -> Json:
    predictor, name = service["spec"]["predictor"], service["metadata"]["name"]
    own = {container["name"]: container for container in predictor.get("containers", [])}
    own["kserve-container"] = {key: value for key, value in predictor["model"].items() if key not in _OF_KSERVE}
    made = [_merged(container, own.pop(container["name"], {})) for container in runtime["spec"]["containers"]]
    made += own.values()
    containers = [json.loads(json.dumps(one).replace("{{.Name}}", name)) if one["name"] in _REPLACED else one for one in made]
    of_pod = ("enableServiceLinks", "terminationGracePeriodSeconds", "volumes")
    spec = {key: value for key, value in (runtime["spec"] | predictor).items() if key in of_pod}
    metadata = {"name": f"{name}-predictor", "annotations": runtime["spec"]["annotations"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec | {"containers": containers}}


def _merged(container: Json, own: Json) -> Json:
    env = {entry["name"]: entry for entry in [*container.get("env", []), *own.get("env", [])]}
    joined = container | own | {"name": container["name"], "args": [*container.get("args", []), *own.get("args", [])]}
    return joined | ({"env": list(env.values())} if env else {})

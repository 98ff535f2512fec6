"""What the metrics of all workers say: as text for Prometheus, perhaps with exemplars, and which models are away."""

import glob
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Metric, generate_latest
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.samples import Exemplar, Sample

from gateway.telemetry.exemplars import Exemplar as Found
from gateway.telemetry.exemplars import Exemplars, key_of
from gateway.telemetry.request_metrics import Labels
from gateway.telemetry.traceparent import format_trace_id

TEXT: Final = CONTENT_TYPE_LATEST
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

# prometheus_client's key of a value in a file: the JSON of the metric's name, the sample's name, its labels and the help.
_MODEL_READY: Final = '["gateway_model_ready"'
_WITH_EXEMPLARS: Final = "gateway_request_seconds"


class Exposition:
    """The metrics of all workers, when they share ``folder``; without one, those of this process. For any thread.

    ``exemplars`` are shown at the buckets of the times of requests; None: none are.
    """

    def __init__(self, folder: str | None, exemplars: Exemplars | None = None) -> None:
        self._folder = folder
        self._exemplars = exemplars

    def text(self) -> bytes:
        """Every metric in Prometheus' text format, which has no exemplars."""
        return generate_latest(self._registry())

    def openmetrics(self) -> bytes:
        """Every metric in OpenMetrics' text format 1.0.0.

        https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md
        """
        registry = self._registry()
        shown = registry if self._exemplars is None else _WithExemplars(registry, self._exemplars)
        # Our names need no escape, and to look for one in each letter takes a third of the time.
        text: bytes = openmetrics.generate_latest(shown, escaping=openmetrics.ALLOWUTF8)  # type: ignore[no-untyped-call]
        return text

    def models_not_ready(self) -> frozenset[str]:
        """The models that some worker does not see ready; none without a shared folder, when this process is the only one."""
        if self._folder is None:
            return frozenset()
        # Only the files of such gauges, and in them only what is 0: this is read at each look at the readiness.
        found: set[str] = set()
        for path in glob.glob(os.path.join(glob.escape(self._folder), "gauge_livemin_*.db")):
            with suppress(FileNotFoundError):  # that of a worker that has just ended
                for key, value, *_ in MmapedDict.read_all_values_from_file(path):  # type: ignore[no-untyped-call]
                    if value == 0 and key.startswith(_MODEL_READY):
                        found.add(json.loads(key)[2]["model"])
        return frozenset(found)

    def _registry(self) -> CollectorRegistry:
        if self._folder is None:
            return REGISTRY
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=self._folder)  # type: ignore[no-untyped-call]
        return registry


class _WithExemplars:
    """What ``registry`` collects, with exemplars."""

    def __init__(self, registry: CollectorRegistry, exemplars: Exemplars) -> None:
        self._registry = registry
        self._exemplars = exemplars

    def collect(self) -> Iterable[Metric]:
        for family in self._registry.collect():
            if family.name == _WITH_EXEMPLARS:
                newest = self._exemplars.newest()
                family.samples = [_with_exemplar(sample, newest) for sample in family.samples]
            yield family


def _with_exemplar(sample: Sample, newest: Mapping[bytes, Found]) -> Sample:
    """``sample``, with its exemplar if it is a bucket that has one."""
    labels = sample.labels
    if "le" not in labels:
        return sample
    found = newest.get(key_of(Labels(labels["model"], labels["version"], labels["signature"]), labels["le"]))
    if found is None:
        return sample
    return sample._replace(exemplar=Exemplar({"trace_id": format_trace_id(found.trace_id)}, found.seconds, found.ended_unix_s))

"""The one file that knows the Prometheus client: a registry built from the tables of families.

In: increments, settings and observations by family name and label values. Out: the exposition.
Invariant: a label that has a fixed set of values never takes another one; strangers become "other".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import get_args

import prometheus_client as prometheus
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.openmetrics import exposition as openmetrics_text

from pipeline.family import COUNTERS, FAMILIES, GAUGES, HISTOGRAMS, INFOS, OTHER, STATESET, Family
from streamer.notes import CameraState


class Series:
    """All series of one process, in a registry of their own; confined to the event loop."""

    def __init__(self) -> None:
        # The client adds every counter's time of birth as a second series, which nobody reads.
        prometheus.disable_created_metrics()  # type: ignore[no-untyped-call] # upstream
        registry = self._registry = prometheus.CollectorRegistry()
        self._counters = {
            f.name: prometheus.Counter(f.name, f.doc, tuple(f.labels), registry=registry)
            for f in COUNTERS
        }
        self._gauges = {
            f.name: prometheus.Gauge(f.name, f.doc, tuple(f.labels), registry=registry)
            for f in GAUGES
        }
        self._histograms = {
            f.name: prometheus.Histogram(
                f.name, f.doc, tuple(f.labels), registry=registry, buckets=f.buckets
            )
            for f in HISTOGRAMS
        }
        self._infos = {
            f.name: prometheus.Info(f.name, f.doc, tuple(f.labels), registry=registry)
            for f in INFOS
        }
        self._states = prometheus.Enum(
            STATESET.name,
            STATESET.doc,
            tuple(STATESET.labels),
            registry=registry,
            states=get_args(CameraState),
        )
        self._families = {family.name: family for family in FAMILIES}
        prometheus.ProcessCollector(registry=registry)
        prometheus.GCCollector(registry=registry)
        self.create({})

    def create(self, known: Mapping[str, Sequence[str]]) -> None:
        """Create, at zero, every series all of whose label values are fixed or known.

        Args:
            known: values of labels that the configuration names; what exists stays as it is.
        """
        groups = (
            (COUNTERS, self._counters),
            (GAUGES, self._gauges),
            (HISTOGRAMS, self._histograms),
        )
        for families, metrics in groups:
            for family in families:
                if family.labels and family.is_created_early:
                    for values in product(*_values(family, known)):
                        metrics[family.name].labels(*values)

    def remove(self, label: str, value: str) -> None:
        """Remove every series whose `label` has this value."""
        groups = (self._counters, self._gauges, self._histograms, self._infos)
        metrics = {name: metric for group in groups for name, metric in group.items()}
        for name, metric in metrics.items():
            if label in self._families[name].labels:
                metric.remove_by_labels({label: value})
        if label in STATESET.labels:
            self._states.remove_by_labels({label: value})

    def inc(self, name: str, *values: str, n: float = 1.0) -> None:
        """Add n >= 0 to a counter."""
        self._counters[name].labels(*self._bounded(name, values)).inc(n)

    def set(self, name: str, value: float, *values: str) -> None:
        """Set a gauge."""
        gauge = self._gauges[name]
        (gauge.labels(*self._bounded(name, values)) if values else gauge).set(value)

    def observe(
        self, name: str, value: float, *values: str, exemplar: dict[str, str] | None = None
    ) -> None:
        """Put a value into a histogram; below zero counts as zero."""
        histogram = self._histograms[name]
        child = histogram.labels(*self._bounded(name, values)) if values else histogram
        child.observe(max(0.0, value), exemplar)

    def info(self, name: str, facts: dict[str, str], *values: str) -> None:
        """Replace the facts of an info family."""
        info = self._infos[name]
        (info.labels(*values) if values else info).info(facts)

    def state(self, camera: str, state: CameraState) -> None:
        """Set a camera's state."""
        self._states.labels(camera).state(state)

    def exposition(self, *, is_openmetrics: bool) -> tuple[bytes, str]:
        """Return all series and their content type, as OpenMetrics 1.0 or the older plain text."""
        if is_openmetrics:
            text = openmetrics_text.generate_latest(self._registry)  # type: ignore[no-untyped-call] # upstream
            return text, openmetrics_text.CONTENT_TYPE_LATEST
        return prometheus.generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4

    def _bounded(self, name: str, values: tuple[str, ...]) -> tuple[str, ...]:
        allowed = self._families[name].labels.values()
        return tuple(
            value if not fixed or value in fixed else OTHER
            for value, fixed in zip(values, allowed, strict=True)
        )


def _values(family: Family, known: Mapping[str, Sequence[str]]) -> list[Sequence[str]]:
    return [values or known.get(label, ()) for label, values in family.labels.items()]

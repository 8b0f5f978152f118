"""TensorFlow's operations, timed by its own profiler.

In: a bundle, a precision, hops. Out: a `Tracer` of the graphs the classifier would run: full
windows with shared weights, steps with constants. Invariant: what runs is what runs all day; the
profiler only watches, and its files are gone when it ends.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from model.bundle import Bundle
from model.classifier import Clips, Embeddings, Scores, Stepper
from model.engines.tensorflow_choice import FORMS, Way, graph_of, run
from model.engines.tensorflow_stepper import make_stepper
from model.trace import Node, medians

_OPERATION = re.compile(r"(?P<name>[\w./-]+):(?P<kind>_?[A-Z]\w*)")
"""How the profiler names an operation of a graph; what else it names is around them."""


class TensorFlowTracer:
    """A network on TensorFlow, in the form that is preferred; see `Tracer`.

    Args:
        bundle: weights and facts.
        precision: of convolutions.
        hops: steps that will be asked for.
    """

    def __init__(self, bundle: Bundle, precision: str, hops: Sequence[int]) -> None:
        way = Way(precision, *FORMS[0])
        self._graph = graph_of(bundle, way)
        self._steppers = {hop: make_stepper(bundle, way, hop, 1, is_constant=True) for hop in hops}

    def predict(self, clips: Clips) -> tuple[Scores, Embeddings]:
        """Classify whole windows; see `Tracer.predict`."""
        return run(self._graph, clips, 1)

    def stepper(self, hop: int) -> Stepper | None:
        """Return the stepper of a hop; see `Tracer.stepper`."""
        return self._steppers.get(hop)

    def nodes(self, run: Callable[[], object], n_calls: int) -> list[Node]:
        """Time the operations of a call; see `Tracer.nodes`."""
        with tempfile.TemporaryDirectory(prefix="bresnet-trace-") as folder:
            tf.profiler.experimental.start(folder)
            try:
                for _ in range(n_calls):
                    run()
            finally:
                tf.profiler.experimental.stop()
            files = list(Path(folder).rglob("*.xplane.pb"))
            return medians((node for file in files for node in _nodes(file)), n_calls)


def _nodes(file: Path) -> Iterator[Node]:
    """Yield the operations in one file of the profiler."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space: Any = xplane_pb2.XSpace()
    space.ParseFromString(file.read_bytes())
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                found = _OPERATION.fullmatch(plane.event_metadata[event.metadata_id].name)
                if found is not None:
                    yield Node(found["name"], found["kind"], 1e-12 * event.duration_ps)

"""What one call of an engine spends on each operation.

In: operations as a runtime names them, timed in several calls. Out: one `Node` for each of them,
with the median of its times. An engine's `Tracer` runs what its classifier would run and can be
asked for that. Invariant: names begin with the layer of the network an operation belongs to, or
name none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from model.classifier import Clips, Embeddings, Scores, Stepper


@dataclass(frozen=True, slots=True)
class Node:
    """One operation of a graph.

    Attributes:
        name: `layer/...`, where it belongs to one.
        kind: of operation, in the runtime's words.
        seconds: in one call.
    """

    name: str
    kind: str
    seconds: float


class Tracer(Protocol):
    """A network on an engine whose operations can be timed one by one."""

    def predict(self, clips: Clips) -> tuple[Scores, Embeddings]:
        """Classify whole windows; see `Classifier.predict`."""
        ...

    def stepper(self, hop: int) -> Stepper | None:
        """Return the stepper of a hop; None where the network's geometry has none."""
        ...

    def nodes(self, run: Callable[[], object], n_calls: int) -> list[Node]:
        """Time the operations of a call.

        Args:
            run: calls `predict`, or `step` of a stepper, of this tracer.
            n_calls: times it is run, at least 1.

        Returns:
            every operation with its median time.
        """
        ...


def medians(nodes: Iterable[Node], n_calls: int) -> list[Node]:
    """Turn the operations of some calls into those of one.

    Args:
        nodes: of all calls.
        n_calls: how many they were.

    Returns:
        a node a name and kind. One that a call runs several times has the sum of them.
    """
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for node in nodes:
        times[node.name, node.kind].append(node.seconds)
    return [
        Node(name, kind, median(own) * len(own) / n_calls) for (name, kind), own in times.items()
    ]

"""Steppers on TensorFlow: made, and compared with what they must equal.

In: a bundle and the form chosen for full windows. Out: the stepper of a hop, exact or causal as the
bundle was trained, and how far it is from full windows, or from the run over the whole stream,
after several steps. Invariant: a hop that the network's geometry does not allow has no stepper, and
that is no error.
"""

from __future__ import annotations

from model.bundle import Bundle
from model.causal import CausalStepper
from model.classifier import Stepper
from model.engines.causal_graph import TensorFlowCausalGraphs
from model.engines.graph import Graph
from model.engines.incremental_graph import TensorFlowGraphs
from model.engines.measure import causal_difference, step_difference
from model.engines.reference import PROBE_PX
from model.engines.tensorflow_choice import Way, run
from model.incremental import SlidingWindow
from model.plan import Plan


def make_stepper(
    bundle: Bundle,
    way: Way,
    hop: int,
    chunk: int,
    *,
    size_px: int | None = None,
    is_constant: bool = False,
) -> Stepper | None:
    """Make the stepper of a hop; None where the network's geometry has none.

    Args:
        bundle: weights and facts.
        way: form and precision of full windows; steps always take the stem collapsed.
        hop: frames between windows.
        chunk: streams that run together.
        size_px: side of the pictures; the bundle's own where absent.
        is_constant: the weights are constants of the graph of a step.
    """
    facts = bundle.manifest
    side = size_px or facts.size_px
    if facts.temporal_padding == "causal":
        return _causal_stepper(bundle, way, hop, side)
    try:
        plan = Plan(hop, facts.frames)
    except ValueError:
        return None
    network = Way(way.precision, "collapsed", way.blocks).network(bundle)
    graphs = TensorFlowGraphs(
        plan,
        network,
        bundle.score_kernel,
        bundle.score_bias,
        way.precision,
        is_constant=is_constant,
    )
    return SlidingWindow(plan, graphs, (side, side), chunk)


def verified(bundle: Bundle, way: Way, hop: int, graph: Graph) -> float:
    """Compare a stepper of small pictures with full windows over a few steps.

    Returns:
        Largest difference of embeddings, relative to the largest component; infinite where one is
        no number.
    """
    facts = bundle.manifest
    side = min(facts.size_px, PROBE_PX)
    stepper = make_stepper(bundle, way, hop, 1, size_px=side)
    if stepper is None:
        return float("inf")
    if stepper.mode == "causal":
        return causal_difference(stepper, lambda clips: run(graph, clips, 1)[1], facts.frames, side)
    return step_difference(stepper, lambda clips: run(graph, clips, 1), facts.frames, side)


def _causal_stepper(bundle: Bundle, way: Way, hop: int, side: int) -> Stepper | None:
    facts = bundle.manifest
    graphs = TensorFlowCausalGraphs(
        Way(way.precision, "collapsed", way.blocks).network(bundle),
        bundle.score_kernel,
        bundle.score_bias,
        way.precision,
        facts.frames,
    )
    try:
        return CausalStepper(hop, facts.frames, graphs, (side, side))
    except ValueError:
        return None

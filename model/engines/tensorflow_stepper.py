"""Steppers on TensorFlow: made, compared with full windows, timed.

In: a bundle and the form chosen for full windows. Out: the stepper of a hop, how far it is from
full windows over several steps, and what a step costs. Invariant: a hop that the network's geometry
does not allow has no stepper, and that is no error.
"""

from __future__ import annotations

import numpy as np

from model.bundle import Bundle, Manifest
from model.classifier import Stepper
from model.engines.graph import Graph
from model.engines.incremental_graph import TensorFlowGraphs
from model.engines.reference import PROBE_PX
from model.engines.tensorflow_choice import Way, golden_clips, median_cost, run
from model.incremental import SlidingWindow
from model.plan import Plan

_N_STEPS = 3


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
    try:
        plan = Plan(hop, facts.frames)
    except ValueError:
        return None
    if facts.temporal_padding != "same":
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
    side = size_px or facts.size_px
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
    n_frames = facts.frames + _N_STEPS * hop
    shape = (1, n_frames, side, side, 3)
    video = np.random.default_rng(11).integers(0, 256, shape, np.uint8)
    _, found, states = stepper.init(video[:, : facts.frames])
    worst = 0.0
    for at in range(0, n_frames - facts.frames + 1, hop):
        if at:
            new = video[:, at + facts.frames - hop : at + facts.frames]
            _, found, states = stepper.step(new, states)
        _, full = run(graph, video[:, at : at + facts.frames], 1)
        difference = float(np.abs(found - full).max() / np.abs(full).max())
        worst = max(worst, difference if np.isfinite(difference) else float("inf"))
    return worst


def step_cost(
    stepper: Stepper, manifest: Manifest, n: int, give_up_s: float = float("inf")
) -> float:
    """Median seconds of a step of n streams; the first, which builds the graph, does not count."""
    clips = golden_clips(manifest, n)
    _, _, states = stepper.init(clips)
    new = clips[:, : stepper.hop]
    return median_cost(lambda: stepper.step(new, states), give_up_s)

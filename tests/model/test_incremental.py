"""A sliding window equals the full one, value by value, whatever the runtime.

The runtime here is plain numpy on pictures of one pixel, in float64: it knows the network's
geometry in time and nothing else, so that hundreds of steps of every hop take milliseconds. The
same on TensorFlow, with pictures, is in engines/test_incremental_graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from model.incremental import SlidingWindow
from model.plan import Plan, Step
from model.slice import BLOCK1_PARTS, Slice, Value

KERNELS = {
    stage: np.random.default_rng(seed).normal(size=4)
    for seed, stage in enumerate(("stem", "stem1", "stem2", "block0"))
}
"""Three taps and a bias."""


def activated(values: Any) -> Any:
    """A smooth ReLU: nothing is cut off, so that an error anywhere shows in the outputs."""
    return np.logaddexp(0, values)


def highest(one: Any, other: Any) -> Any:
    """A smooth maximum, for the same reason."""
    return np.logaddexp(one, other)


def convolved(stage: str, values: Any, stride: int = 1, before: int = 1) -> Any:
    """The definition: zeros around the window, three taps, bias, activation. (N, T) -> (N, T')."""
    padded = np.pad(values, [(0, 0), (before, 2)])
    *taps, bias = KERNELS[stage]
    starts = range(0, values.shape[1], stride)
    columns = [sum(k * padded[:, t + n] for n, k in enumerate(taps)) + bias for t in starts]
    return activated(np.stack(columns, 1))


def full_window(clips: Any) -> Any:
    """The eight values behind block0 of whole windows, uint8 (N, T, 1, 1, 3)."""
    values = convolved("stem", clips.mean((2, 3, 4)) / 255, 2, before=0)
    values = convolved("stem2", convolved("stem1", values))
    return convolved("block0", highest(values[:, ::2], values[:, 1::2]))


class NumberGraphs:
    """`Graphs` on numbers: runs the operations of a plan as they are listed."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.frames: list[int] = []

    def first(self, clips: Any) -> tuple[Any, Any, Sequence[Any]]:
        return self._run(clips, self.plan.first, {})

    def step(self, frames: Any, taken: Sequence[Any]) -> tuple[Any, Any, Sequence[Any]]:
        step = self.plan.step
        return self._run(frames, step, dict(zip(step.takes, taken, strict=True)))

    def join(self, values: Sequence[Any]) -> Any:
        return np.concatenate(values)

    def split(self, value: Any, n: int) -> Sequence[Any]:
        return np.split(value, n)

    def n_bytes(self, value: Any) -> int:
        return int(value.nbytes)

    def _run(
        self, clips: Any, step: Step, values: dict[Value, Any]
    ) -> tuple[Any, Any, Sequence[Any]]:
        self.frames.append(clips.shape[1])
        stem = convolved("stem", clips.mean((2, 3, 4)) / 255, 2, before=0)
        values |= dict(zip(step.stem, stem.T, strict=True))
        for operation in step.operations:
            addends = [values[value] for value in operation.addends]
            if operation.activation == "max":
                values[operation.result] = highest(*addends)
                continue
            if (product := operation.product) is not None:
                *taps, bias = KERNELS[product.stage]
                own = taps[product.tap] * values[product.source]
                addends.append(own + bias * (product.tap == 1))
            total = np.sum(addends, 0)
            is_done = operation.activation == "relu"
            values[operation.result] = activated(total) if is_done else total
        every = convolved("block0", np.stack([values[v] for v in self.plan.pooled()], 1))
        for n in (n for own in step.block0 for n in own):
            for part in BLOCK1_PARTS:
                values[Slice(part, n)] = every[:, n]
        whole = range(self.plan.slices("block0"))
        one, other = (np.stack([values[Slice(p, n)] for n in whole], 1) for p in BLOCK1_PARTS)
        return None, (one + other) / 2, [values[value] for value in step.keeps]


def video(n: int, frames: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (n, frames, 1, 1, 3), np.uint8)


def windows(plan: Plan, clip: Any) -> list[Any]:
    """Outputs of streams, by `init` and then `step` for each hop."""
    sliding = SlidingWindow(plan, NumberGraphs(plan))
    _, outputs, states = sliding.init(clip[:, : plan.frames])
    found = [outputs]
    for at in range(plan.frames, clip.shape[1], plan.hop):
        _, outputs, states = sliding.step(clip[:, at : at + plan.hop], states)
        found.append(outputs)
    return found


@pytest.mark.parametrize(
    ("hop", "frames"), [(hop, frames) for frames in (12, 24, 32) for hop in range(4, frames, 4)]
)
def test_each_of_200_windows_equals_the_full_one(hop: int, frames: int) -> None:
    """To the last digits of float64, for two streams at once, whatever the hop."""
    clip = video(2, frames + 200 * hop, seed=hop)
    found = windows(Plan(hop, frames), clip)
    assert len(found) == 201
    for n, outputs in enumerate(found):
        expected = full_window(clip[:, n * hop : n * hop + frames])
        np.testing.assert_allclose(outputs, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("hop", [4, 8, 16])
def test_every_frame_of_the_window_counts(hop: int) -> None:
    """One other frame in the past changes the windows that hold it and no later one."""
    clip = video(1, 32 + 12 * hop)
    other = clip.copy()
    other[:, 33] ^= 255
    changed = [
        not np.array_equal(a, b)
        for a, b in zip(windows(Plan(hop), clip), windows(Plan(hop), other), strict=True)
    ]
    assert changed == [n * hop <= 33 < n * hop + 32 for n in range(13)]


def test_streams_join_and_part_as_they_come() -> None:
    """Three streams that began apart, in batches of changing size and order: each its own."""
    plan, clip = Plan(4), video(3, 32 + 4 * 20)
    sliding = SlidingWindow(plan, NumberGraphs(plan))
    at = [0, 0, 0]
    states = [sliding.init(clip[n : n + 1, :32])[2][0] for n in range(3)]
    for batch in ([0], [2, 0], [1, 2], [2, 1, 0], [0, 2, 1], [1], [0, 1, 2]):
        for n in batch:
            at[n] += 4
        frames = np.stack([clip[n, at[n] + 28 : at[n] + 32] for n in batch])
        _, outputs, after = sliding.step(frames, [states[n] for n in batch])
        expected = full_window(np.stack([clip[n, at[n] : at[n] + 32] for n in batch]))
        np.testing.assert_allclose(outputs, expected, rtol=1e-11)
        for n, state in zip(batch, after, strict=True):
            states[n] = state


def test_a_state_outlives_the_step_that_used_it() -> None:
    """Nothing is changed in place: a step can be repeated, and a stream can branch."""
    plan, clip = Plan(4), video(1, 40)
    sliding = SlidingWindow(plan, NumberGraphs(plan))
    *_, [state] = sliding.init(clip[:, :32])
    values, tail = dict(state.values), state.tail.copy()
    first = sliding.step(clip[:, 32:36], [state])
    sliding.step(clip[:, 36:40], [state])
    again = sliding.step(clip[:, 32:36], [state])
    np.testing.assert_array_equal(first[1], again[1])
    np.testing.assert_array_equal(state.tail, tail)
    assert all(state.values[key] is value for key, value in values.items())


def test_a_state_keeps_its_own_frames() -> None:
    """The ring the frames came from may be overwritten, after the first window and after a step."""
    plan, clip = Plan(4), video(1, 40)
    sliding = SlidingWindow(plan, NumberGraphs(plan))
    ring = clip[:, :32].copy()
    *_, states = sliding.init(ring)
    ring[:] = 0
    hop = clip[:, 32:36].copy()
    _, outputs, states = sliding.step(hop, states)
    np.testing.assert_allclose(outputs, full_window(clip[:, 4:36]), rtol=1e-11)
    hop[:] = 0
    _, outputs, _ = sliding.step(clip[:, 36:], states)
    np.testing.assert_allclose(outputs, full_window(clip[:, 8:]), rtol=1e-11)


def test_a_step_hands_over_the_new_frames_and_two_old_ones() -> None:
    """The engine never sees the rest of the window again."""
    plan, clip = Plan(8), video(1, 48)
    graphs = NumberGraphs(plan)
    sliding = SlidingWindow(plan, graphs)
    *_, states = sliding.init(clip[:, :32])
    for at in (32, 40):
        *_, states = sliding.step(clip[:, at : at + 8], states)
    assert graphs.frames == [32, 10, 10]


def test_a_value_that_is_lost_is_noticed() -> None:
    """The comparison can fail: each single value of the state matters."""
    plan, clip = Plan(4), video(1, 32 + 4 * 8)
    sliding = SlidingWindow(plan, NumberGraphs(plan))
    *_, [state] = sliding.init(clip[:, :32])
    for key in state.values:
        states = [replace(state, values=state.values | {key: state.values[key] + 0.5})]
        differs = False
        for at in range(32, 64, 4):
            _, outputs, states = sliding.step(clip[:, at : at + 4], states)
            expected = full_window(clip[:, at - 28 : at + 4])
            differs = differs or not np.allclose(outputs, expected, rtol=1e-9)
        assert differs, key


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((1, 3, 1, 1, 3), np.uint8),
        np.zeros((1, 4, 1, 1, 3), np.float32),
        np.zeros((2, 4, 1, 1, 3), np.uint8),
        np.zeros((1, 4, 2, 1, 3), np.uint8),
    ],
)
def test_frames_that_do_not_fit_the_state_are_refused(frames: Any) -> None:
    """Hop, type, streams and picture size are those of the window before."""
    plan = Plan(4)
    sliding = SlidingWindow(plan, NumberGraphs(plan))
    *_, states = sliding.init(video(1, 32))
    with pytest.raises(ValueError, match=r"frames must be uint8 \(1, 4, 1, 1, 3\), got"):
        sliding.step(frames, states)


def test_a_first_window_of_another_length_is_refused() -> None:
    """31 frames, or none at all."""
    sliding = SlidingWindow(Plan(4), NumberGraphs(Plan(4)))
    with pytest.raises(ValueError, match=r"frames must be uint8 \(1, 32, 1, 1, 3\)"):
        sliding.init(video(1, 31))
    with pytest.raises(ValueError, match="frames must be"):
        sliding.init(video(0, 32))


def test_the_size_of_a_state_stays_what_it_is() -> None:
    """21 values and two frames a stream, after the first window and after 50 more."""
    plan, clip = Plan(4), video(2, 32 + 4 * 50)
    sliding = SlidingWindow(plan, NumberGraphs(plan))
    *_, states = sliding.init(clip[:, :32])
    for at in range(32, 232, 4):
        for state in states:
            assert state.n_bytes == 21 * 8 + 2 * 3
            assert sum(v.nbytes for v in (*state.values.values(), state.tail)) == state.n_bytes
        *_, states = sliding.step(clip[:, at : at + 4], states)

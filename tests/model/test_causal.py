"""Steps of the causal network equal its run over the whole stream, whatever the runtime.

The runtime here is plain numpy on pictures of one pixel, in float64: it knows the network's
geometry in time and nothing else. The same on TensorFlow, with pictures and against the Keras
network, is in engines/test_causal_graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from model import spec
from model.causal import POSITIONS, CausalStepper, kept_slices

CONVS = [stage.name for stage in spec.STEM] + [f"{block.name}/feature" for block in spec.BLOCKS]
KERNELS = {name: np.random.default_rng(n).normal(size=4) for n, name in enumerate(CONVS)}
"""Three taps and a bias."""


def activated(values: Any) -> Any:
    """A smooth ReLU: nothing is cut off, so that an error anywhere shows in the outputs."""
    return np.logaddexp(0, values)


def positions(clips: Any) -> Any:
    """The definition, over a whole stream: uint8 (N, T, 1, 1, 3) -> (N, T / 4)."""
    values = clips.mean((2, 3, 4)) / 255
    for name in ("stem", "stem1", "stem2"):
        values = convolved(name, values, 2 if name == "stem" else 1)
    values = np.logaddexp(values[:, ::2], values[:, 1::2])
    for block in spec.BLOCKS:
        average = values.copy()
        average[:, 1:] = (values[:, 1:] + values[:, :-1]) / 2
        values = activated(convolved(f"{block.name}/feature", values) + average - 1)
    return values


def convolved(name: str, values: Any, stride: int = 1) -> Any:
    """Zeros before the stream, three taps, bias, activation."""
    *taps, bias = KERNELS[name]
    padded = np.pad(values, [(0, 0), (3 - stride, 0)])
    columns = [padded[:, t : t + 3] @ taps + bias for t in range(0, values.shape[1], stride)]
    return activated(np.stack(columns, 1))


class NumberGraphs:
    """`Graphs` on numbers."""

    def __init__(self, frames: int) -> None:
        self.kept = kept_slices(frames)
        self.frames: list[tuple[int, int]] = []

    def first(self, clip: Any) -> Any:
        scores, embeddings, [values] = self._run(clip, None)
        return scores, embeddings, values

    def step(self, frames: Any, streams: Sequence[Any]) -> Any:
        return self._run(frames, iter([np.concatenate(v) for v in zip(*streams, strict=True)]))

    def n_bytes(self, value: Any) -> int:
        return int(value.nbytes)

    def _run(self, clips: Any, past: Iterator[Any] | None) -> Any:
        self.frames.append(clips.shape[:2])
        kept: list[Any] = []

        def longer(name: str, values: Any, at_start: Any) -> Any:
            n = self.kept[name]
            before = np.repeat(at_start, n, 1) if past is None else next(past)
            every = np.concatenate([before, values], 1)
            kept.append(every[:, -n:])
            return every

        def convolve(name: str, values: Any) -> Any:
            every = longer(name, values, np.zeros((len(values), 1)))
            stride = 3 - self.kept[name]
            *taps, bias = KERNELS[name]
            starts = range(0, every.shape[1] - 2, stride)
            return activated(np.stack([every[:, t : t + 3] @ taps + bias for t in starts], 1))

        values = clips.mean((2, 3, 4)) / 255
        for name in ("stem", "stem1", "stem2"):
            values = convolve(name, values)
        values = np.logaddexp(values[:, ::2], values[:, 1::2])
        for block in spec.BLOCKS:
            feature = convolve(f"{block.name}/feature", values)
            every = longer(f"{block.name}/average", values, values[:, :1])
            values = activated(feature + (every[:, 1:] + every[:, :-1]) / 2 - 1)
        if past is not None:
            values = np.concatenate([next(past), values], 1)
        kept.append(values[:, -self.kept[POSITIONS] :])
        parts = [np.split(value, len(clips)) for value in kept]
        outputs = kept[-1].mean(1, keepdims=True)
        return -outputs, outputs, list(zip(*parts, strict=True))


def video(n: int, frames: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (n, frames, 1, 1, 3), np.uint8)


def stepper(hop: int, frames: int = spec.FRAMES) -> CausalStepper:
    return CausalStepper(hop, frames, NumberGraphs(frames))


def outputs(hop: int, frames: int, clip: Any) -> list[Any]:
    """Embeddings of streams, by `init` and then `step` for each hop."""
    causal = stepper(hop, frames)
    _, embeddings, states = causal.init(clip[:, :frames])
    found = [embeddings]
    for at in range(frames, clip.shape[1], hop):
        _, embeddings, states = causal.step(clip[:, at : at + hop], states)
        found.append(embeddings)
    return found


@pytest.mark.parametrize(
    ("hop", "frames"), [(hop, frames) for frames in (4, 12, 32) for hop in range(4, frames + 1, 4)]
)
def test_each_of_200_steps_equals_the_run_over_the_stream(hop: int, frames: int) -> None:
    """The mean over the last positions of one long run, for two streams at once."""
    clip = video(2, frames + 200 * hop, seed=hop)
    every, found = positions(clip), outputs(hop, frames, clip)
    assert len(found) == 201
    for n, embeddings in enumerate(found):
        end = (frames + n * hop) // 4
        expected = every[:, end - frames // 4 : end].mean(1, keepdims=True)
        np.testing.assert_allclose(embeddings, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("hop", [4, 8, 16])
def test_a_frame_counts_from_its_step_on(hop: int) -> None:
    """One other frame changes its own window, those after while it is in reach, and none before.

    From the positions of a window, the blocks look back 8 positions of 4 frames, the stem 9 frames.
    """
    clip = video(1, 32 + 24 * hop)
    other = clip.copy()
    other[:, 33] ^= 255
    changed = [
        not np.array_equal(a, b)
        for a, b in zip(outputs(hop, 32, clip), outputs(hop, 32, other), strict=True)
    ]
    assert changed == [32 + n * hop > 33 and n * hop - 8 * 4 - 9 <= 33 for n in range(25)]


def test_streams_join_and_part_as_they_come() -> None:
    """Three streams that began apart, in batches of changing size and order: each its own."""
    clip, causal = video(3, 32 + 4 * 20), stepper(4)
    every = positions(clip)
    at = [0, 0, 0]
    states = [causal.init(clip[n : n + 1, :32])[2][0] for n in range(3)]
    for batch in ([0], [2, 0], [1, 2], [2, 1, 0], [0, 2, 1], [1], [0, 1, 2]):
        for n in batch:
            at[n] += 4
        frames = np.stack([clip[n, at[n] + 28 : at[n] + 32] for n in batch])
        _, embeddings, after = causal.step(frames, [states[n] for n in batch])
        expected = [every[n, at[n] // 4 : at[n] // 4 + 8].mean() for n in batch]
        np.testing.assert_allclose(embeddings[:, 0], expected, rtol=1e-11)
        for n, state in zip(batch, after, strict=True):
            states[n] = state


def test_a_state_outlives_the_step_that_used_it() -> None:
    """Nothing is changed in place: a step can be repeated, and a stream can branch."""
    clip, causal = video(1, 40), stepper(4)
    *_, [state] = causal.init(clip[:, :32])
    values = [value.copy() for value in state.values]
    first = causal.step(clip[:, 32:36], [state])
    causal.step(clip[:, 36:40], [state])
    again = causal.step(clip[:, 32:36], [state])
    np.testing.assert_array_equal(first[1], again[1])
    for value, kept in zip(state.values, values, strict=True):
        np.testing.assert_array_equal(value, kept)


def test_a_step_hands_over_the_new_frames_alone() -> None:
    """The engine never sees an old frame again."""
    graphs = NumberGraphs(32)
    causal, clip = CausalStepper(8, 32, graphs), video(1, 48)
    *_, states = causal.init(clip[:, :32])
    for at in (32, 40):
        *_, states = causal.step(clip[:, at : at + 8], states)
    assert graphs.frames == [(1, 32), (1, 8), (1, 8)]


def test_first_windows_are_run_one_by_one() -> None:
    """They are large and rare; steps run together."""
    graphs = NumberGraphs(32)
    causal, clip = CausalStepper(8, 32, graphs), video(3, 40)
    *_, states = causal.init(clip[:, :32])
    causal.step(clip[:, 32:], states)
    assert graphs.frames == [(1, 32)] * 3 + [(3, 8)]


def test_a_value_that_is_lost_is_noticed() -> None:
    """The comparison can fail: each single value of the state matters at the next step."""
    clip, causal = video(1, 36), stepper(4)
    *_, [state] = causal.init(clip[:, :32])
    expected = positions(clip)[:, 1:].mean()
    for n, name in enumerate(kept_slices()):
        values = list(state.values)
        values[n] = values[n] + 0.5
        _, embeddings, _ = causal.step(clip[:, 32:], [replace(state, values=tuple(values))])
        assert not np.allclose(embeddings, expected, rtol=1e-9), name


def test_what_is_kept_is_what_the_kernels_reach_back_for() -> None:
    """One frame, two slices a kernel of 3, one an average, and the positions of a window."""
    features = {f"{block.name}/feature": 2 for block in spec.BLOCKS}
    averages = {f"{block.name}/average": 1 for block in spec.BLOCKS}
    stem = {"stem": 1, "stem1": 2, "stem2": 2}
    assert kept_slices() == stem | features | averages | {POSITIONS: 8}
    assert kept_slices(64)[POSITIONS] == 16


def test_the_size_of_a_state_stays_what_it_is() -> None:
    """25 values a stream, after the first window and after 50 more; alone and in a batch."""
    clip, causal = video(2, 32 + 4 * 50), stepper(4)
    *_, states = causal.init(clip[:, :32])
    for at in range(32, 232, 4):
        for state in states:
            assert state.n_bytes == 25 * 8 == sum(value.nbytes for value in state.values)
        *_, states = causal.step(clip[:, at : at + 4], states)


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
    """Hop, type, streams and picture size are those of the step before."""
    causal = stepper(4)
    *_, states = causal.init(video(1, 32))
    with pytest.raises(ValueError, match=r"frames must be uint8 \(1, 4, 1, 1, 3\), got"):
        causal.step(frames, states)


def test_states_of_different_pictures_do_not_mix() -> None:
    """Nor does a step without any stream make sense."""
    causal = stepper(4)
    *_, [one] = causal.init(video(1, 32))
    *_, [other] = causal.init(np.zeros((1, 32, 2, 2, 3), np.uint8))
    with pytest.raises(ValueError, match="states must be of one picture size"):
        causal.step(video(2, 4), [one, other])
    with pytest.raises(ValueError, match="states must be of one picture size"):
        causal.step(video(0, 4), [])


def test_a_first_window_of_another_form_is_refused() -> None:
    """31 frames, none at all, four channels, another picture size than the stepper's."""
    for clips in (video(1, 31), video(0, 32), np.zeros((1, 32, 1, 1, 4), np.uint8)):
        with pytest.raises(ValueError, match=r"frames must be uint8 \(\d, 32, 1, 1, 3\)"):
            stepper(4).init(clips)
    other = CausalStepper(4, 32, NumberGraphs(32), size=(2, 1))
    with pytest.raises(ValueError, match=r"frames must be uint8 \(1, 32, 2, 1, 3\), got"):
        other.init(video(1, 32))


@pytest.mark.parametrize(("hop", "frames"), [(0, 32), (6, 32), (36, 32), (4, 30), (4, 0)])
def test_a_hop_or_window_beside_the_stride_is_refused(hop: int, frames: int) -> None:
    """Both in steps of 4 frames, the hop not beyond the window."""
    with pytest.raises(ValueError, match="must be a multiple of 4"):
        stepper(hop, frames)


def test_a_stepper_says_what_it_is() -> None:
    """Hop and mode, as the worker asks for them."""
    causal = stepper(8)
    assert (causal.hop, causal.mode) == (8, "causal")

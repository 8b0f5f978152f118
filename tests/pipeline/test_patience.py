"""Steps over gaps go on while they lead somewhere, and end where full windows are cheaper."""

from __future__ import annotations

from collections import Counter

import pytest

from pipeline.patience import MAX_REST, N_LATE, REST, Patience
from pipeline.slots import Found, Slots
from streamer.notes import RingSpec
from streamer.worker_notes import WindowRef

RING = RingSpec(path="/r", n_slots=64, size_px=8)
HOP, STEP_S, FIRST_S, FULL_S = 4, 0.033, 0.090, 0.050
"""TensorFlow, bfloat16, AMX, beside the rest of the pipeline: seconds of a step, of a window that
leaves a state, and of one that does not."""


def windows_until_over(
    patience: Patience, n_hops: int, share: float = 0.7, most: int = 1000
) -> int:
    """How many windows, each so many hops after the last, are taken until patience is over."""
    for n in range(1, most + 1):
        patience.take("a", n_hops, share)
        if patience.is_over("a"):
            return n
    return most


def windows_at_rest(patience: Patience, n_hops: int, share: float = 0.7) -> int:
    n = 0
    while patience.is_over("a"):
        patience.take("a", n_hops, share)
        n += 1
    return n


@pytest.mark.parametrize(("n_hops", "share"), [(1, 0.7), (1, 1.5), (2, 0.45), (3, 0.3), (5, 0.0)])
def test_steps_that_cost_less_than_the_window_go_on(n_hops: int, share: float) -> None:
    """However many windows are left out; and one step is never too dear."""
    assert windows_until_over(Patience(), n_hops, share) == 1000


def test_steps_that_cost_more_end_when_they_are_a_habit() -> None:
    """A gap now and then, or a few in a row, is stepped over."""
    patience = Patience()
    for _ in range(20):
        for n_hops in (*[2] * N_LATE, 1):
            patience.take("a", n_hops, 0.7)
            assert not patience.is_over("a")
    assert windows_until_over(patience, 2) == N_LATE + 1
    assert not patience.is_over("b"), "another camera has its own"


def test_steps_are_tried_again_later_and_later() -> None:
    """Up to a limit, while nothing gets better."""
    patience, rests = Patience(), []
    for _ in range(7):
        windows_until_over(patience, 3)
        rests.append(windows_at_rest(patience, 3))
    assert rests == [REST, 2 * REST, 4 * REST, 8 * REST, MAX_REST, MAX_REST, MAX_REST]


def test_windows_without_gaps_end_the_rest_at_once() -> None:
    """The overload is over; the next one begins with the shortest rest."""
    patience = Patience()
    for _ in range(3):
        windows_until_over(patience, 2)
        windows_at_rest(patience, 2)
    windows_until_over(patience, 2)
    assert windows_at_rest(patience, 1) == N_LATE
    windows_until_over(patience, 2)
    assert windows_at_rest(patience, 2) == REST


def test_a_camera_or_all_can_begin_anew() -> None:
    """After another run, ring or hop, or another model."""
    patience = Patience()
    windows_until_over(patience, 2)
    patience.forget("a")
    patience.forget("nobody")
    assert not patience.is_over("a")
    windows_until_over(patience, 2)
    patience.clear()
    assert not patience.is_over("a")


def served(
    n_cameras: int, seconds: float, slots: Slots | None, *, stall_s: float = 0.0
) -> Counter[str]:
    """Cameras at 6.25 windows a second take turns at a worker; count windows by how they come.

    Args:
        n_cameras: all live: the newest window alone waits.
        seconds: of the run.
        slots: of the worker; None: all windows in full.
        stall_s: what the worker does not do at first.
    """
    every_s = HOP / 25
    counts: Counter[str] = Counter()
    last = [-1] * n_cameras
    now, turn = stall_s, 0
    while now < seconds:
        newest = [int((now - every_s * k / n_cameras) / every_s) for k in range(n_cameras)]
        waiting = [k % n_cameras for k in range(turn, turn + n_cameras)]
        camera = next((k for k in waiting if newest[k] > last[k]), None)
        if camera is None:
            now += 0.001
            continue
        turn, last[camera] = camera + 1, newest[camera]
        ref = WindowRef(
            window_id=0,
            ring=RING,
            camera=f"c{camera}",
            run=0,
            first_seq=HOP * newest[camera],
            hop=HOP,
        )
        cost_s, kind = FULL_S, "full"
        if slots is not None:
            found = slots.find(ref)
            if isinstance(found, Found):
                cost_s, kind = found.n_steps * STEP_S, "step"
            elif slots.is_worth_keeping(ref):
                cost_s, kind = FIRST_S, "first"
            if kind != "full":
                slots.keep(ref, _State())
        now += cost_s
        counts[kind] += 1
    return counts


class _State:
    n_bytes = 1


def test_under_lasting_overload_steps_serve_as_many_windows_as_full_ones_would() -> None:
    """Five to twelve cameras where four are possible: at most a tenth fewer, for trying again."""
    for n_cameras in (5, 6, 8, 12):
        full = served(n_cameras, 300.0, None).total()
        steps = served(n_cameras, 300.0, Slots(100, {HOP: STEP_S / FULL_S})).total()
        assert steps >= 0.9 * full, n_cameras


def test_a_worker_that_can_keep_up_with_steps_alone_does_so_after_a_stall() -> None:
    """Four cameras in steps are 83 % of its time, in full 125: full windows would last for ever."""
    assert served(4, 60.0, None).total() < 0.85 * 4 * 60 * 25 / HOP
    counts = served(4, 60.0, Slots(100, {HOP: STEP_S / FULL_S}), stall_s=3.0)
    assert counts["step"] >= 0.95 * counts.total()
    assert counts.total() >= 0.95 * 4 * 57 * 25 / HOP

"""Claims about pipeline.cost: figures by mode, and which windows can be steps."""

from __future__ import annotations

import pytest

from pipeline.cost import FULL, Costs
from pipeline.records import Window
from tests.records import window


def at(last_seq: int, *, hop: int = 8, run: int = 0, camera: str = "door") -> Window:
    return window(camera=camera, run=run, first_seq=last_seq - 31, last_seq=last_seq, hop=hop)


@pytest.fixture
def costs() -> Costs:
    made = Costs()
    made.set({1: 0.1, 4: 0.4}, {8: {1: 0.06, 4: 0.2}, 16: {1: 0.08}})
    return made


def test_each_mode_has_its_own_figures(costs: Costs) -> None:
    """Between measured sizes on a line, beyond them in proportion; unknown hops cost a full one."""
    assert [costs.seconds(n) for n in (1, 2, 4, 8)] == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert costs.seconds(2, 8) == pytest.approx(0.06 + 0.14 / 3)
    assert costs.seconds(3, 16) == pytest.approx(0.24)
    assert costs.seconds(1, 12) == pytest.approx(0.1)


def test_without_figures_everything_is_free_and_full() -> None:
    """Before the first worker is ready; figures that cannot be are left out."""
    costs = Costs()
    assert not costs.is_known
    assert costs.seconds(3) == 0.0
    costs.set({0: 1.0, 1: 0.0}, {8: {1: -1.0}})
    assert not costs.is_known
    costs.given(at(31))
    assert costs.mode(at(39)) == FULL


def test_a_window_a_hop_after_the_last_one_is_a_step(costs: Costs) -> None:
    """And the one after it again."""
    assert costs.mode(at(31)) == FULL
    for last_seq in (31, 39, 47):
        costs.given(at(last_seq))
        assert costs.mode(at(last_seq + 8)) == 8


@pytest.mark.parametrize(
    "other",
    [at(47), at(39, run=1), at(39, camera="hall"), at(47, hop=16), at(43, hop=12), at(31)],
    ids=["left one out", "other run", "other camera", "other hop", "no steps", "the same again"],
)
def test_any_other_window_is_full(costs: Costs, other: Window) -> None:
    """The worker keeps one state a camera: of one run, at one hop, at one place."""
    costs.given(at(31))
    assert costs.mode(other) == FULL


def test_what_the_worker_lost_is_no_base_for_a_step(costs: Costs) -> None:
    """A window it did not answer, a worker that died, a new worker."""
    costs.given(at(31))
    costs.failed("hall")
    assert costs.mode(at(39)) == 8
    costs.failed("door")
    assert costs.mode(at(39)) == FULL
    costs.given(at(31))
    costs.forget_streams()
    assert costs.mode(at(39)) == FULL
    costs.given(at(31))
    costs.set({1: 0.1}, {8: {1: 0.06}})
    assert costs.mode(at(39)) == FULL

"""Claims about model.bench: ways take turns, and the table and the JSON hold all of them."""

from __future__ import annotations

import pytest

from model.bench import PAUSE_S, all_ways, bench_model, measure
from model.comparison import BASELINE
from model.ways import Subject, Way

SUBJECT = Subject(32, 12, (), gemm_side=256)


class Machine:
    """A clock that stands still until a way or a pause moves it, and a diary."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.diary: list[str] = []

    def now(self) -> float:
        return self.now_s

    def pause(self, seconds: float) -> None:
        self.now_s += seconds
        self.diary.append("pause")

    def way(self, name: str, *seconds: float) -> Way:
        """A way whose calls take these seconds in turn, the last one for good."""
        left = list(seconds)

        def run() -> None:
            self.now_s += left.pop(0) if len(left) > 1 else left[0]
            self.diary.append(name)

        return Way(name, "engine", "float32", run, {"stem": 1}, batch=2, state_bytes=7)


def test_ways_take_turns_and_the_first_round_does_not_count() -> None:
    """Every round has every way once; the samples are the seconds each took, pauses left out."""
    machine = Machine()
    ways = [machine.way("a", 9.0, 9.0, 8.0, 1.0, 8.0, 2.0), machine.way("b", 8.0, 3.0)]
    rows = measure(ways, 2, 0, machine.pause, machine.now)
    assert [row.samples_s for row in rows] == [(1.0, 2.0), (3.0, 3.0)]
    calls = [entry for entry in machine.diary if entry != "pause"]
    assert calls[::2] == calls[1::2], "the first call of a turn finds the caches cold"
    called = calls[::2]
    assert [sorted(called[k : k + 2]) for k in range(0, 6, 2)] == [["a", "b"]] * 3
    assert (rows[0].name, rows[0].batch, rows[0].state_bytes) == ("a", 2, 7)


def test_the_order_changes_and_is_that_of_the_seed() -> None:
    """So that no way always runs behind the same other one."""

    def order(seed: int) -> list[str]:
        machine = Machine()
        measure([machine.way(name, 1.0) for name in "abcd"], 7, seed, machine.pause, machine.now)
        return [entry for entry in machine.diary if entry != "pause"][::2]

    found = order(1)
    assert found == order(1)
    assert found != order(2)
    assert len({tuple(found[k : k + 4]) for k in range(0, 32, 4)}) > 1


def test_threads_of_the_way_before_come_to_rest() -> None:
    """A pause stands before every turn."""
    machine = Machine()
    measure([machine.way("a", 1.0), machine.way("b", 1.0)], 1, 0, machine.pause, machine.now)
    assert machine.diary[::3] == ["pause"] * 4
    assert PAUSE_S > 0


def test_what_libraries_print_stays_out_of_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    """The table alone goes to stdout, by the command; progress bars go where messages go."""
    bench_model(SUBJECT, families=(), rounds=1, tell=lambda text: print("noise", text))
    captured = capsys.readouterr()
    assert "noise Keras" in captured.err
    assert "noise Keras" not in captured.out


def test_what_is_not_asked_for_is_not_built() -> None:
    """Keras alone, the baseline, is always there."""
    names = [way.name for way in all_ways(SUBJECT, families=())]
    assert names == [BASELINE, "Keras `model.predict`", "`tf.function`"]

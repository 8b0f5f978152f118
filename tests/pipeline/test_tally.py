"""Claims about pipeline.tally: totals only grow, exactly, over restarts of the process."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.tally import Tally
from streamer.notes import Counters

REASONS = ("corrupt", "rate_limit")
STEP = st.tuples(st.integers(0, 30), st.integers(0, 5), st.integers(0, 5))
PROCESSES = st.lists(st.lists(STEP, min_size=1, max_size=8), max_size=5)


def lives(processes: list[list[tuple[int, int, int]]]) -> list[list[Counters]]:
    """Cumulative records of successive processes; each conserves decoded = used + dropped."""
    found = []
    for steps in processes:
        used = corrupt = limited = 0
        records = []
        for more_used, more_corrupt, more_limited in steps:
            used, corrupt, limited = (
                used + more_used,
                corrupt + more_corrupt,
                limited + more_limited,
            )
            dropped = {"corrupt": corrupt, "rate_limit": limited}
            decoded = used + corrupt + limited
            records.append(Counters(decoded=decoded, used=used, dropped=dropped, bytes=used * 10))
        found.append(records)
    return found


@given(PROCESSES)
def test_totals_are_the_sum_over_all_processes(processes: list[list[tuple[int, int, int]]]) -> None:
    """With every new process announced, no picture is lost and none counted twice."""
    tally = Tally()
    for records in lives(processes):
        tally.restart()
        before = tally.total
        for record in records:
            fresh = tally.add(record)
            assert fresh.decoded == fresh.used + sum(fresh.dropped.values())
            assert tally.total.decoded >= before.decoded
            before = tally.total
    ends = [records[-1] for records in lives(processes)]
    assert tally.total.decoded == sum(end.decoded for end in ends)
    assert tally.total.bytes == sum(end.bytes for end in ends)
    for reason in REASONS:
        assert tally.total.dropped.get(reason, 0) == sum(end.dropped[reason] for end in ends)


def test_a_new_process_nobody_announced_is_noticed_by_its_low_counts() -> None:
    """Counts that begin again far lower are added, not subtracted."""
    tally = Tally()
    tally.add(Counters(decoded=1000, used=990, dropped={"corrupt": 10}))
    tally.add(Counters(decoded=7, used=7))
    assert tally.total == Counters(decoded=1007, used=997, dropped={"corrupt": 10})


def test_a_late_record_changes_nothing() -> None:
    """A frame note that a heartbeat overtook is no restart."""
    tally = Tally()
    tally.add(Counters(decoded=100, used=100))
    assert tally.add(Counters(decoded=98, used=98)) == Counters()
    tally.add(Counters(decoded=101, used=101))
    assert tally.total.decoded == 101


def test_a_reason_that_is_gone_means_a_new_process_even_when_it_decoded_more() -> None:
    """A record that is higher here and lower there cannot be a late one."""
    tally = Tally()
    tally.add(Counters(decoded=10, used=5, dropped={"no_keyframe": 5}))
    tally.add(Counters(decoded=12, used=12))
    assert tally.total == Counters(decoded=22, used=17, dropped={"no_keyframe": 5})

"""`bresnet bench model`: every way to run the network on this machine, in one run.

In: sizes, rounds, a seed. Out: a `Comparison`. The ways take turns in one process, in another order
each round, so that whatever else the machine does meets all of them alike.
Invariant: a way never runs within `PAUSE_S` of another one, whose idle threads may still spin.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np

from model.comparison import Absent, Comparison, Row
from model.engines import engines
from model.machine import this_machine
from model.peers import peer_ways
from model.ways import Subject, Way, engine_ways, gemm_ways, keras_ways

PAUSE_S = 0.05
"""Right behind ONNX Runtime, whose threads go on spinning, OpenVINO took 76 ms instead of 56; 50 ms
later 56 again. Behind TensorFlow it made no difference, nor did sharing a process (56 and 54)."""

FAMILIES = ("tensorflow", "openvino", "peers")
"""What can be asked for; Keras and the matrix product are always measured."""

Tell = Callable[[str], None]


def bench_model(
    subject: Subject,
    *,
    families: Sequence[str] = FAMILIES,
    rounds: int = 15,
    json_path: Path | None = None,
    tell: Tell = lambda _: None,
) -> str:
    """Measure, and return the Markdown table.

    Args:
        subject: sizes of what is run.
        families: of `FAMILIES`.
        rounds: times each way is called; a further round first does not count.
        json_path: where to write the figures as JSON too.
        tell: is told what goes on.

    Raises:
        OSError: the JSON file cannot be written.
    """
    ways: list[Way] = []
    absent: list[Absent] = []
    with redirect_stdout(sys.stderr):  # NNCF draws its progress there, into the table
        for found in all_ways(subject, families):
            tell(f"{found.name}, {found.engine} {found.precision}")
            if isinstance(found, Way):
                ways.append(found)
            else:
                absent.append(found)
    gemm = list(gemm_ways(subject.gemm_side))
    tell(f"measuring {len(ways)} ways in {rounds} rounds")
    rows = measure([*ways, *gemm], rounds, subject.seed)
    comparison = Comparison(
        machine=this_machine(),
        settings={
            "frames": subject.frames,
            "size_px": subject.size_px,
            "hops": list(subject.hops),
            "rounds": rounds,
            "seed": subject.seed,
            "pause_s": PAUSE_S,
        },
        rows=rows[: len(ways)],
        absent=absent,
        gemm=rows[len(ways) :],
    )
    if json_path is not None:
        json_path.write_text(comparison.to_json())
    return comparison.to_markdown()


def all_ways(subject: Subject, families: Sequence[str]) -> Iterator[Way | Absent]:
    """Build the ways one by one: Keras first, then what users would do, then our engines."""
    yield from keras_ways(subject)
    if "peers" in families:
        yield from peer_ways(subject)
    for engine in engines():
        if engine.name in families:
            yield from engine_ways(subject, engine)


def measure(
    ways: Sequence[Way],
    rounds: int,
    seed: int,
    pause: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.perf_counter,
) -> list[Row]:
    """Call all ways in turns, twice each; the second call is the one that counts.

    Args:
        ways: at least one.
        rounds: that count, at least 1.
        seed: of the order within a round.
        pause: waits.
        now: seconds.

    Returns:
        a row a way, in the order given.
    """
    rng = np.random.default_rng(seed)
    samples_s: list[list[float]] = [[] for _ in ways]
    gc.collect()
    for number in range(rounds + 1):
        for index in rng.permutation(len(ways)):
            pause(PAUSE_S)
            # Live, a network runs behind itself. A first call finds the caches cold (TensorFlow in
            # bfloat16: 66 ms, then 43, quartiles 21 and 2.5 ms apart) or the processor rested
            # (OpenVINO in bfloat16: 38 ms, then 70, as in a process of its own).
            ways[index].run()
            began = now()
            ways[index].run()
            if number:  # the first round warms up
                samples_s[index].append(now() - began)
    return [
        Row(
            name=way.name,
            engine=way.engine,
            precision=way.precision,
            batch=way.batch,
            samples_s=tuple(taken),
            macs=way.macs,
            state_bytes=way.state_bytes,
            difference=way.difference,
        )
        for way, taken in zip(ways, samples_s, strict=True)
    ]

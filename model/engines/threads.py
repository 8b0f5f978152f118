"""How many threads TensorFlow gets: measured, in processes of their own, because it never changes.

In: a bundle's shape. Out: a number of threads, or None for TensorFlow's own choice. Where every
logical processor is a core of its own there is nothing to choose; elsewhere two threads on one core
may be slower than one. Run as `python -m model.engines.threads N`, with a manifest on standard
input, it prints the seconds of one window on N threads. Invariant: a measurement that fails or
takes too long costs time, never the start.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence

import psutil

from model.bundle import Manifest, untrained_bundle

MIN_GAIN = 0.05
"""Fewer threads must be faster by this much; below it is noise, and others may be idle."""
_TIMEOUT_S = 60.0


def thread_counts() -> tuple[int, ...]:
    """Return the numbers worth comparing: logical processors we may use, then physical cores."""
    usable = len(os.sched_getaffinity(0))
    physical = min(psutil.cpu_count(logical=False) or usable, usable)
    return (usable,) if physical == usable else (usable, physical)


def choose_threads(
    manifest: Manifest, counts: Sequence[int], measure: Callable[[Manifest, int], float]
) -> int | None:
    """Return the number of threads that is clearly faster than the first; None without a choice.

    Args:
        manifest: of the bundle.
        counts: numbers to compare, the default first.
        measure: seconds of one window on so many threads.
    """
    if len(counts) < 2:
        return None
    costs = {n: measure(manifest, n) for n in counts}
    best = min(counts, key=lambda n: costs[n])
    return best if costs[best] < (1 - MIN_GAIN) * costs[counts[0]] else None


def measured(manifest: Manifest, threads: int) -> float:
    """Seconds of one window in a process with so many threads; infinite where that failed."""
    try:
        done = subprocess.run(  # noqa: S603 - our own module, no shell
            [sys.executable, "-m", __name__, str(threads)],
            input=manifest.model_dump_json(),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=True,
        )
        return float(done.stdout)
    except (subprocess.SubprocessError, OSError, ValueError):
        return float("inf")


def main(threads: int, manifest: Manifest) -> float:
    """Measure in this process: seconds of one window."""
    import tensorflow as tf

    from model.engines import has_native_bfloat16
    from model.engines.tensorflow_choice import FORMS, Way, clip_cost, graph_of

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    precision = "bfloat16" if has_native_bfloat16() else "float32"
    graph = graph_of(untrained_bundle(manifest), Way(precision, *FORMS[0]))
    return clip_cost(graph, manifest, 1)


if __name__ == "__main__":
    print(main(int(sys.argv[1]), Manifest.model_validate_json(sys.stdin.read())))  # noqa: T201

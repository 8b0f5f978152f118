"""Makes batches ahead of the training, in worker processes, and hands them out in order.

In: `Batches` and the first step. Out: the batches of that step and all following ones. Worker w of
W makes every W-th batch and is a few ahead, never more. Batches cross in files of a folder in
shared memory; where that is too small they cross by the pipe.
Invariant: the n-th batch is that of step first + n, whatever the number of workers; no process and
no file outlives the loader or, if that is killed, its process. No worker is ended between the first
and the last byte of an answer: the standard library would wait for the rest for ever.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import signal
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from model.data.batch import Batch, Batches
from model.errors import DataError

_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - shared memory, in a folder of its own
# With a limit, however large, the standard library starts workers anew instead of forking this
# process, in which TensorFlow's threads may hold locks.
_NEVER: Final = 1 << 60
_WATCH_S: Final = 0.25
_OPEN: Final = "open"
Number = TypeVar("Number", np.uint8, np.float32)


class _Parcel(NamedTuple):
    """A batch on its way: itself, or the file with its arrays one behind the other, clips last."""

    batch: Batch | None
    file: str
    shapes: tuple[tuple[int, ...], ...]


class BatchLoader:
    """Batches made ahead in worker processes; use it in a `with`.

    Args:
        batches: what to load; sent to the workers, so its parts must be importable by name.
        first_step: the step to begin with; after a resume, the next one that is due.
        n_workers: processes; 0 makes each batch in this one when it is asked for.
        n_ahead: batches each worker may be ahead, finished ones included; bounds the memory.
        n_steps: how many batches there are; endless where absent.
        niceness: how far workers step back; with 10 they take what the training leaves.
    """

    def __init__(
        self,
        batches: Batches,
        first_step: int = 0,
        n_workers: int = 1,
        n_ahead: int = 2,
        n_steps: int | None = None,
        *,
        niceness: int = 10,
    ) -> None:
        if first_step < 0 or n_workers < 0 or n_ahead < 1:
            raise ValueError(
                f"first_step={first_step}, n_workers={n_workers}, n_ahead={n_ahead}: the first two "
                "must not be negative, the third must be positive"
            )
        self._batches = batches
        self._next = first_step
        self._end = math.inf if n_steps is None else first_step + n_steps
        self._n_workers = n_workers
        self._n_ahead = n_ahead
        self._niceness = niceness
        self._folder: Path | None = None
        self._workers: list[ProcessPoolExecutor] = []
        self._orders: deque[Future[_Parcel]] = deque()

    def __enter__(self) -> Self:
        if not self._n_workers:
            return self
        parent = str(_SHARED_MEMORY) if _SHARED_MEMORY.is_dir() else None
        # The name says whose it is, as those of the rings do.
        self._folder = Path(tempfile.mkdtemp(prefix=f"bresnet-{os.getpid()}-", dir=parent))
        (self._folder / _OPEN).touch()
        arguments = (self._batches, self._niceness, os.getpid(), str(self._folder))
        self._workers = [
            ProcessPoolExecutor(
                1, initializer=_begin, initargs=arguments, max_tasks_per_child=_NEVER
            )
            for _ in range(self._n_workers)
        ]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        workers, self._workers = self._workers, []
        self._orders.clear()
        if self._folder is not None:
            # A batch can take long and nobody wants it any more: without this file workers end.
            (self._folder / _OPEN).unlink(missing_ok=True)
        for worker in workers:
            worker.shutdown(cancel_futures=True)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches, without end unless `n_steps` was given."""
        while self._next < self._end:
            yield self.take()

    def take(self) -> Batch:
        """Return the next batch; waits until it is made.

        Raises:
            DataError: a worker was killed, or could not make the batch.
            ValueError: there are no more batches, or the loader is not open.
        """
        if self._next >= self._end:
            raise ValueError(f"step {self._next} is behind the last one")
        step = self._next
        batch = self._receive(step) if self._n_workers else self._batches.batch(step)
        self._next = step + 1
        return batch

    def _receive(self, step: int) -> Batch:
        if not self._workers:
            raise ValueError("the loader is not open; use it in a `with`")
        try:
            ahead_end = min(step + self._n_workers * self._n_ahead, self._end)
            while (ahead := step + len(self._orders)) < ahead_end:
                worker = self._workers[ahead % self._n_workers]
                self._orders.append(worker.submit(_make, ahead))
            return _unpacked(self._orders.popleft().result())
        except BrokenProcessPool:
            raise DataError(
                f"a data worker ended while batches from step {step} on were made; if the machine "
                "ran out of memory, use fewer workers or smaller batches, then resume"
            ) from None


def _unpacked(parcel: _Parcel) -> Batch:
    if parcel.batch is not None:
        return parcel.batch
    file, offset = Path(parcel.file), 0
    *shapes, clips_shape = parcel.shapes
    arrays = []
    for shape in shapes:
        arrays.append(_mapped(file, np.float32, offset, shape))
        offset += arrays[-1].nbytes
    clips = _mapped(file, np.uint8, offset, clips_shape)
    file.unlink()
    return Batch(clips, *arrays)


def _mapped(
    file: Path, dtype: type[Number], offset: int, shape: tuple[int, ...]
) -> npt.NDArray[Number]:
    """Return an array of a file; mapped, not read: its memory is given back with it."""
    if not math.prod(shape):
        return np.empty(shape, dtype)
    return np.asarray(np.memmap(file, dtype, "r+", offset, shape))


# ---- in the worker -------------------------------------------------------------------------------


class _Bench:
    """What a worker works on; one a process."""

    batches: Batches
    folder: Path
    is_making = False
    gate = threading.Lock()
    """Held where `is_making` changes, and by the one who ends the process because of it."""


def _begin(batches: Batches, niceness: int, parent_pid: int, folder: str) -> None:
    """Settle a new worker: stay behind the training, end with it, leave Ctrl-C to it."""
    _Bench.batches, _Bench.folder = batches, Path(folder)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(niceness)
    cv2.setNumThreads(1)
    watch = threading.Thread(target=_watch, args=(parent_pid,), name="watch:parent", daemon=True)
    watch.start()


def _watch(parent_pid: int) -> None:
    # Not the kernel's parent-death signal: that one follows the thread that started this process.
    while os.getppid() == parent_pid:
        if not _is_open():
            with _Bench.gate:
                if _Bench.is_making:
                    os._exit(1)
            # Idle, or in the middle of an answer; `_make` ends what is asked for after it.
        time.sleep(_WATCH_S)
    shutil.rmtree(_Bench.folder, ignore_errors=True)
    os._exit(1)


def _is_open() -> bool:
    return (_Bench.folder / _OPEN).exists()


def _make(step: int) -> _Parcel:
    with _Bench.gate:
        if not _is_open():
            os._exit(1)
        _Bench.is_making = True
    try:
        return _packed(_Bench.batches.batch(step), _Bench.folder / f"{step}")
    finally:
        with _Bench.gate:
            _Bench.is_making = False


def _packed(batch: Batch, file: Path) -> _Parcel:
    arrays = (*batch[1:], batch.clips)
    try:
        # 19 MB by the pipe cost the training's process 22 ms a batch, by a file less than 1.
        with file.open("wb") as out:
            for array in arrays:
                np.ascontiguousarray(array).tofile(out)
    except OSError:
        # Shared memory is full, as it soon is in a container: 64 MB.
        with contextlib.suppress(OSError):
            file.unlink()
        return _Parcel(batch, "", ())
    return _Parcel(None, str(file), tuple(array.shape for array in arrays))

"""Claims about the loader: order, exact position, bounded, behind the training, gone in the end."""

from __future__ import annotations

import os
import pickle
import select
import signal
import subprocess
import sys
import tempfile
import time
from itertools import islice
from multiprocessing import resource_tracker
from pathlib import Path

import numpy as np
import psutil
import pytest

from model.data.loader import BatchLoader, _packed, _unpacked
from model.errors import DataError
from tests.conftest import REPOSITORY
from tests.model.data.stand_in import CountingBatches


@pytest.fixture(scope="module", autouse=True)
def tracker_of_the_standard_library() -> None:
    """Python starts one process that looks after semaphores, once, and keeps it for its life."""
    resource_tracker.ensure_running()


def steps(loader: BatchLoader, n_batches: int) -> list[int]:
    """The numbers that the next batches hold in clips and targets alike."""
    found = []
    for batch in islice(loader, n_batches):
        assert batch.clips.min() == batch.clips.max() == batch.targets[0, 1]
        assert (batch.moments == batch.targets[0, 1]).all()
        assert batch.places.shape == (2, 1, 1, 1, 7)
        assert (batch.places == batch.targets[0, 1]).all()
        found.append(int(batch.targets[0, 1]))
    return found


@pytest.mark.parametrize("n_workers", [0, 1, 3])
def test_batches_come_in_order_from_any_step(n_workers: int) -> None:
    """Whatever the number of workers, the n-th batch is that of the n-th step from the first."""
    with BatchLoader(CountingBatches(), first_step=11, n_workers=n_workers) as loader:
        assert steps(loader, 7) == list(range(11, 18))


def test_a_batch_is_the_callers_own() -> None:
    """A batch can be written to and stays as it is while others come."""
    with BatchLoader(CountingBatches(), n_workers=1) as loader:
        first = loader.take()
        first.clips[:] = 77
        steps(loader, 4)
        assert first.clips.min() == first.clips.max() == 77
        assert type(first.clips) is np.ndarray


def test_workers_are_other_processes_and_stay_behind() -> None:
    """Each of two workers makes every second batch, with lower priority than this process."""
    with BatchLoader(CountingBatches(), n_workers=2, niceness=5) as loader:
        made = [batch.targets[0] for batch in islice(loader, 4)]
    own = np.float32(os.getpid())
    assert made[0][0] == made[2][0] != made[1][0] == made[3][0]
    assert own not in {facts[0] for facts in made}
    assert {facts[2] for facts in made} == {os.nice(0) + 5}


def test_workers_are_a_bounded_number_of_batches_ahead() -> None:
    """No more batches are ordered, kept or on disk than each worker may be ahead."""
    with BatchLoader(CountingBatches(), n_workers=1, n_ahead=3) as loader:
        steps(loader, 2)
        assert len(loader._orders) == 2
        assert loader._folder is not None
        assert len(list(loader._folder.iterdir())) <= 3


@pytest.mark.parametrize("n_workers", [0, 2])
def test_a_loader_with_an_end_stops_there(n_workers: int) -> None:
    """Given how many batches there are, it yields them all and asks for no other."""
    batches = CountingBatches(failing=5)
    with BatchLoader(batches, first_step=2, n_workers=n_workers, n_steps=3) as loader:
        assert steps(loader, 100) == [2, 3, 4]
        with pytest.raises(ValueError, match="behind the last"):
            loader.take()


def test_a_failing_batch_is_raised_with_its_own_words_in_its_turn() -> None:
    """What a worker raises comes when its batch is due, after the good ones before it."""
    with BatchLoader(CountingBatches(failing=3), n_workers=2) as loader:
        assert steps(loader, 3) == [0, 1, 2]
        with pytest.raises(DataError, match=r"clip 7\.mp4 is damaged"):
            loader.take()


def test_a_killed_worker_is_one_sentence() -> None:
    """A worker that is killed, as by the system when memory runs out, ends in a DataError."""
    with (
        BatchLoader(CountingBatches(deadly=2), n_workers=1) as loader,
        pytest.raises(DataError, match=r"a data worker ended .* resume"),
    ):
        steps(loader, 4)


def test_closing_does_not_wait_for_a_batch_that_takes_for_ever() -> None:
    """A worker that hangs in a batch is ended when the loader closes (nothing_leaks checks)."""
    with BatchLoader(CountingBatches(hanging=1), n_workers=1) as loader:
        assert steps(loader, 1) == [0]


def test_closing_waits_for_an_answer_that_has_begun() -> None:
    """One that is cut in two is waited for for ever: 112 MB by the pipe, closed at any time."""
    for wait_s in (0.0, 0.05, 0.1, 0.15):
        with BatchLoader(CountingBatches(n_cells=2_000_000), n_workers=2) as loader:
            assert loader._folder is not None
            for step in range(1, 5):
                (loader._folder / f"{step}").mkdir()
            assert loader.take().places.max() == 0
            time.sleep(wait_s)


def test_an_answer_is_short() -> None:
    """Under 4 KiB, which the kernel writes at once or not at all, however large the batch is."""
    batch = CountingBatches(n_cells=2_000_000).batch(3)
    with tempfile.TemporaryDirectory() as folder:
        parcel = _packed(batch, Path(folder) / "3")
        assert len(pickle.dumps(parcel)) < select.PIPE_BUF
        found = _unpacked(parcel)
        for part, expected in zip(found, batch, strict=True):
            assert part.dtype == expected.dtype
            np.testing.assert_array_equal(part, expected)
        assert not list(Path(folder).iterdir())


def test_batches_cross_without_shared_memory() -> None:
    """Where their files cannot be written they cross by the pipe."""
    with BatchLoader(CountingBatches(), n_workers=1) as loader:
        assert loader._folder is not None
        for step in range(4):
            (loader._folder / f"{step}").mkdir()
        assert steps(loader, 2) == [0, 1]


def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    """When the training is killed, its workers end by themselves and take their files along."""
    pid_file = tmp_path / "worker"
    code = f"""
from model.data.loader import BatchLoader
from tests.model.data.stand_in import CountingBatches
if __name__ == "__main__":
    with BatchLoader(CountingBatches(hanging=1, pid_file={str(pid_file)!r})) as loader:
        loader.take()
        print(loader._folder, flush=True)
        loader.take()
"""
    script = tmp_path / "train.py"
    script.write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    training = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert training.stdout is not None
    with training, training.stdout:
        folder = Path(training.stdout.readline().strip())
        assert folder.is_dir()
        assert folder != Path(tempfile.gettempdir())
        workers = [psutil.Process(int(path.suffix[1:])) for path in tmp_path.glob("worker.*")]
        training.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert len(workers) == 1
    assert not alive
    assert not folder.exists()


def test_a_worker_loads_no_engine() -> None:
    """The modules a worker imports do not bring TensorFlow: it would cost each worker 400 MB."""
    code = (
        "import sys, model.data.loader, model.data.synthetic\n"
        "print({'tensorflow', 'keras'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_a_loader_is_used_open_and_with_sensible_numbers() -> None:
    """Taking from a loader that is not open, and numbers that mean nothing, are refused."""
    with pytest.raises(ValueError, match="not open"):
        BatchLoader(CountingBatches()).take()
    with pytest.raises(ValueError, match="n_ahead=0"):
        BatchLoader(CountingBatches(), n_ahead=0)

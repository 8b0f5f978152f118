"""Stand-ins that speak our own protocols; nothing of the product is ever patched.

`FakeClassifier` and its factories run inside a REAL worker process, as in
`Worker(..., factory="tests.fakes:load_fake")`. They answer with what is in the frames, so that a
test knows exactly which frames were seen.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from model.classifier import Clips, Embeddings, Maps, Scores, Stepper, WarmUp
from model.config import ModelConfig
from model.errors import BundleError, EngineFailedError
from model.manifest import Golden, Manifest
from pipeline.worker_process import LoadedModel
from streamer.notes import RingSpec
from streamer.ring import RingWriter, create_ring, remove_ring

LABELS = ("first", "last", "batch")
CRASH, HANG, REFUSE, NOT_FINITE, ENGINE_FAILS, SLOW = 241, 242, 243, 244, 245, 246
"""Values of a window's first pixel that make `FakeClassifier` misbehave."""


@dataclass
class FakeClassifier:
    """Scores: first byte of the oldest frame, of the newest frame, and the batch size, all / 255.

    Attributes:
        cost_s: seconds by batch size, as measured at warm-up, and really spent in `predict`.
        slow_s: seconds a window of SLOW costs.
    """

    cost_s: dict[int, float]
    slow_s: float = 0.3
    is_closed: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        return LABELS

    def warm_up(self, max_batch: int, hops: Sequence[int] = ()) -> WarmUp:
        return WarmUp("fake 1.0", "float32", "cpu", self.cost_s, {"max_batch": float(max_batch)})

    def predict(self, clips: Clips) -> tuple[Scores, Embeddings]:
        orders = clips[:, 0, 0, 0, 0]
        if CRASH in orders:
            os.abort()
        if HANG in orders:
            time.sleep(3600)
        if REFUSE in orders:
            raise ValueError("a window is refused")
        if ENGINE_FAILS in orders:
            raise EngineFailedError("the fake engine failed")
        time.sleep(self.slow_s if SLOW in orders else self.cost_s.get(len(clips), 0.0))
        scores = np.empty((len(clips), 3), np.float32)
        scores[:, 0] = orders / np.float32(255)
        scores[:, 1] = clips[:, -1, 0, 0, 0] / np.float32(255)
        scores[:, 2] = len(clips) / 255
        scores[orders == NOT_FINITE, 1] = np.nan
        return scores, np.full((len(clips), 4), 0.25, np.float32)

    def localize(self, clips: Clips) -> Maps:
        """The upper left quarter speaks for every label, in the second half of the time."""
        maps = np.zeros((len(clips), 2, 2, 2, 3), np.float32)
        maps[:, 1, 0, 0] = 1
        return maps

    def stepper(self, hop: int) -> Stepper | None:
        return None

    def close(self) -> None:
        self.is_closed = True


def load_fake(config: ModelConfig) -> LoadedModel:
    """Return a model that answers at once."""
    return LoadedModel("fake", "1", "0" * 64, True, FakeClassifier({1: 0.001, 4: 0.004}))


def load_wrong(config: ModelConfig) -> LoadedModel:
    """Return a model whose engine does not compute what its manifest says."""
    manifest = Manifest(
        name="wrong",
        is_trained=True,
        labels=LABELS,
        frames=4,
        size_px=32,
        analysis_fps=10,
        hop=4,
        golden=Golden(logits=(0, 0, 0), scores=(2.0, 2.0, 2.0)),
    )
    return LoadedModel("wrong", "1", "0" * 64, True, FakeClassifier({1: 0.001}), manifest)


def load_slow(config: ModelConfig) -> LoadedModel:
    """Return a model whose batch takes 0.2 s."""
    cost_s = dict.fromkeys(range(1, 5), 0.2)
    return LoadedModel("fake", "1", "0" * 64, True, FakeClassifier(cost_s, slow_s=3600.0))


def load_refused(config: ModelConfig) -> LoadedModel:
    """Refuse the bundle."""
    raise BundleError(f"bundle {config.bundle!r} is not there; choose another")


def load_hanging(config: ModelConfig) -> LoadedModel:
    """Never return."""
    time.sleep(3600)
    raise AssertionError


def load_crashing_at_first(config: ModelConfig) -> LoadedModel:
    """Exit 1 until the file `config.bundle` holds three lines of start times; add one each time."""
    with open(config.bundle, "a+", encoding="ascii") as starts:  # noqa: PTH123 - append and read
        starts.write(f"{time.monotonic()}\n")
        starts.seek(0)
        n_starts = len(starts.readlines())
    if n_starts <= 3:
        os._exit(1)
    return load_fake(config)


@contextlib.contextmanager
def filled_ring(
    camera: str, first_bytes: list[int], n_slots: int = 40, size_px: int = 8, n_frames: int = 4
) -> Iterator[tuple[RingSpec, Callable[[int], int]]]:
    """Yield a small ring with one frame for each value, and a function that puts another one."""
    spec = create_ring(camera, n_slots, size_px, n_frames)
    try:
        with RingWriter(spec) as writer:

            def put(value: int) -> int:
                writer.reserve()[:] = value
                return writer.commit()

            for value in first_bytes:
                put(value)
            yield spec, put
    finally:
        remove_ring(spec)

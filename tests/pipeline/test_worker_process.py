"""Claims about pipeline.worker_process: one outcome a window, zero copy, bad ones isolated."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from model.config import ModelConfig
from pipeline.worker_process import serve
from streamer.link import Framer, ParentLink, pack
from streamer.notes import RingSpec, Stop
from streamer.worker_notes import (
    FromWorker,
    Infer,
    LoadModel,
    Locate,
    ModelRefused,
    Placed,
    Ready,
    Result,
    ToWorker,
    WindowRef,
)
from tests.fakes import filled_ring

CONFIG = ModelConfig().model_dump_json().encode()


def infer(spec: RingSpec, *first_seqs: int) -> Infer:
    base = 1000 * ord(spec.path[-1])
    refs = [WindowRef(window_id=base + seq, ring=spec, first_seq=seq) for seq in first_seqs]
    return Infer(batch_id=7, windows=refs)


def outcomes(result: Result) -> list[str]:
    return [score.outcome for score in result.scores]


@pytest.fixture
def link() -> Iterator[tuple[ParentLink[ToWorker], SimpleNamespace]]:
    """A child's link, and the parent's end of it."""
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    framer: Framer[FromWorker] = Framer(FromWorker)

    def receive() -> FromWorker:
        notes: list[FromWorker] = []
        while not notes:
            data = ours.recv(65536)
            assert data, "the worker closed its link"
            notes = framer.feed(data)
        return notes[0]

    def send(note: ToWorker) -> None:
        ours.sendall(pack(note))

    with ours, ParentLink[ToWorker](theirs.detach(), ToWorker) as child:
        yield child, SimpleNamespace(send=send, receive=receive)


def test_serving_means_ready_then_a_result_for_each_batch_until_stop(
    link: tuple[ParentLink[ToWorker], SimpleNamespace],
) -> None:
    """The whole dialogue of a worker."""
    child, parent = link
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(serve(child)), name="serve:test")
    thread.start()
    parent.send(LoadModel(config=CONFIG, max_batch=4, factory="tests.fakes:load_fake"))
    ready = parent.receive()
    assert isinstance(ready, Ready)
    assert (ready.model, ready.labels) == ("fake", ["first", "last", "batch"])
    assert ready.cost_s == {1: 0.001, 4: 0.004}
    assert ready.report == {"max_batch": 4.0}
    assert ready.load_s >= 0
    with filled_ring("a", [5] * 4) as (spec, _):
        for _ in range(2):
            parent.send(infer(spec, 0))
            result = parent.receive()
            assert isinstance(result, Result)
            assert outcomes(result) == ["ok"]
    parent.send(Stop())
    thread.join()
    assert codes == [0]


def test_a_bundle_that_cannot_be_used_is_refused_in_one_sentence(
    link: tuple[ParentLink[ToWorker], SimpleNamespace],
) -> None:
    """The operator's mistake is told, not retried."""
    child, parent = link
    config = ModelConfig(bundle="nowhere").model_dump_json().encode()
    parent.send(LoadModel(config=config, max_batch=4, factory="tests.fakes:load_refused"))
    assert serve(child) == 0
    assert parent.receive() == ModelRefused(message="bundle 'nowhere' is not there; choose another")


def test_an_engine_that_misses_the_golden_scores_is_refused(
    link: tuple[ParentLink[ToWorker], SimpleNamespace],
) -> None:
    """Before the first window, with both sides named."""
    child, parent = link
    parent.send(LoadModel(config=CONFIG, max_batch=4, factory="tests.fakes:load_wrong"))
    assert serve(child) == 0
    refused = parent.receive()
    assert isinstance(refused, ModelRefused)
    assert "on the golden clip, the manifest says 2 " in refused.message


def test_the_place_of_an_event_is_found_between_two_batches(
    link: tuple[ParentLink[ToWorker], SimpleNamespace],
) -> None:
    """In the window that decided; a window that is gone has no place, and nothing ends."""
    child, parent = link
    thread = threading.Thread(target=serve, args=(child,), name="serve:test")
    thread.start()
    parent.send(LoadModel(config=CONFIG, max_batch=4, factory="tests.fakes:load_fake"))
    assert isinstance(parent.receive(), Ready)
    with filled_ring("a", [5] * 4) as (spec, _):
        for first_seq, box in ((0, (0.0, 0.0, 0.5, 0.5)), (9, ())):
            [window] = infer(spec, first_seq).windows
            parent.send(Locate(event_id="e1", window=window, label="last"))
            placed = parent.receive()
            assert isinstance(placed, Placed)
            assert placed.event_id == "e1"
            assert placed.box == pytest.approx(box, abs=0.07)
            parent.send(infer(spec, 0))
            assert isinstance(parent.receive(), Result)
    parent.send(Stop())
    thread.join()


@pytest.mark.parametrize("is_asked_for", [False, True])
def test_embeddings_travel_where_they_are_asked_for(
    link: tuple[ParentLink[ToWorker], SimpleNamespace], is_asked_for: bool
) -> None:
    """Four bytes a value, as float32."""
    child, parent = link
    config = ModelConfig(embeddings=is_asked_for).model_dump_json().encode()
    thread = threading.Thread(target=serve, args=(child,), name="serve:test")
    thread.start()
    parent.send(LoadModel(config=config, max_batch=4, factory="tests.fakes:load_fake"))
    parent.receive()
    with filled_ring("a", [5] * 4) as (spec, _):
        parent.send(infer(spec, 0))
        result = parent.receive()
    assert isinstance(result, Result)
    values = np.frombuffer(result.scores[0].embedding, np.float32)
    assert values.tolist() == ([0.25] * 4 if is_asked_for else [])
    parent.send(Stop())
    thread.join()


def test_a_parent_that_leaves_at_once_is_no_error(
    link: tuple[ParentLink[ToWorker], SimpleNamespace],
) -> None:
    """Stop, or the end of the link, before the model was named."""
    child, parent = link
    parent.send(Stop())
    assert serve(child) == 0


def test_importing_the_worker_loads_no_engine() -> None:
    """TensorFlow comes with the bundle's engine, after the heartbeat has begun."""
    code = (
        "import sys; import pipeline.worker_process\n"
        "print(sorted({'tensorflow', 'keras', 'cv2', 'av'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True
    )
    assert done.stdout.strip() == "[]"


def test_started_by_hand_it_says_who_starts_it() -> None:
    """No traceback for a curious user."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.worker_process"],
        capture_output=True,
        text=True,
        cwd=root,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "this program is started by bresnet; run `bresnet --help`\n"

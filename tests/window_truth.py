"""The windows of a scripted camera, held against the camera's ledger: the oracle of invariant I2.

In: the predictions of a running product and the ledger of what was sent. Out: per window the
pictures it stands for, and assertions on them. Only the frame codes the model read and the ledger
are believed, never what the product says about itself (except how many places it filled twice).
Invariant: codes must not repeat within the ledger, so cameras need a loop longer than the test.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.records import Prediction
from tests.camera_ledger import FrameSent, Ledger
from tests.camera_script import CameraOptions
from tests.code_reader import Seen, seen
from tests.product import Running

LONG_LOOP = CameraOptions(n_gops=60)
"""600 different pictures at 10 fps: no code comes twice within a minute."""

N_FRAMES = 32
ANALYSIS_FPS = 10.0
_CLOCK_HZ = 90_000
_WRAP = 1 << 32
# A camera on a busy machine sends some pictures late.
_LATE_S = 0.5


@dataclass(frozen=True)
class Shown:
    """One window and the truth about it.

    Attributes:
        prediction: as the product made it.
        told: the codes the model read.
        oldest, newest: the pictures with the first and last code, as they were sent.
        sent: every picture the camera sent from the oldest to the newest.
    """

    prediction: Prediction
    told: Seen
    oldest: FrameSent
    newest: FrameSent
    sent: Sequence[FrameSent]

    @property
    def n_held(self) -> int:
        """How many places the product says it filled with the previous picture."""
        return round((1 - self.prediction.window.coverage) * N_FRAMES)

    @property
    def span_s(self) -> float:
        """Seconds from the oldest to the newest picture by the camera's own clock."""
        ticks = (self.newest.rtp_timestamp - self.oldest.rtp_timestamp) % _WRAP
        return ticks / _CLOCK_HZ

    @property
    def sent_span_s(self) -> float:
        """Seconds from the oldest to the newest picture by the instants they were sent."""
        return self.newest.sent_at - self.oldest.sent_at


def shown(
    product: Running,
    camera: str,
    ledger: Ledger,
    keep: Callable[[Prediction], bool] = lambda _: True,
) -> list[Shown]:
    """Return the windows of a camera so far with their truth, in the order of prediction.

    Args:
        product: with its predictions.
        camera: its id.
        ledger: what it sent.
        keep: which windows; in damaged pictures a code may read as one that never was.
    """
    frames = ledger.snapshot()
    found = []
    for prediction in product.predictions:
        if prediction.window.camera == camera and keep(prediction):
            told = seen(prediction)
            newest = _last_sent(frames, told.newest, prediction.timeline.arrived_at)
            oldest = _last_sent(frames, told.oldest, newest.sent_at)
            sent = [f for f in frames if oldest.sent_at <= f.sent_at <= newest.sent_at]
            found.append(Shown(prediction, told, oldest, newest, sent))
    return found


def _last_sent(frames: Sequence[FrameSent], counter: int, before: float) -> FrameSent:
    for frame in reversed(frames):
        if frame.counter == counter and frame.sent_at <= before:
            return frame
    raise AssertionError(f"the model saw picture {counter}, which was not sent before {before}")


def assert_unbroken(
    windows: Sequence[Shown], fps: float = ANALYSIS_FPS, *, is_clock_right: bool = True
) -> None:
    """Check I2: no window mixes sessions, sizes or clocks, none has a hole or the wrong length.

    Args:
        windows: undamaged ones.
        fps: highest frame rate of the camera.
        is_clock_right: the camera's timestamps are true within each window.
    """
    assert windows
    for window in windows:
        told, places_s = window.told, (N_FRAMES - 1) / ANALYSIS_FPS
        assert told.n_unreadable == 0, window
        assert len({frame.session for frame in window.sent}) == 1, window
        assert len({frame.size for frame in window.sent}) == 1, window
        if is_clock_right:
            assert abs(window.span_s - places_s) <= 1.5 / ANALYSIS_FPS, (window.span_s, window)
        assert abs(window.sent_span_s - places_s) <= _LATE_S, (window.sent_span_s, window)
        per_place = math.ceil(fps / ANALYSIS_FPS)
        assert told.largest_step <= per_place * max(2, 1 + window.n_held), window
        assert told.smallest_step >= (0 if window.n_held else 1), window


def assert_nothing_lost(
    windows: Sequence[Shown], hop: int = 4, *, is_clock_right: bool = True
) -> None:
    """Check that these windows of a camera at the analysis rate hold every picture it sent."""
    assert_unbroken(windows, is_clock_right=is_clock_right)
    for window in windows:
        assert window.told.largest_step == window.told.smallest_step == 1, window
    for before, after in itertools.pairwise(windows):
        assert after.told.newest - before.told.newest == hop, (before, after)


def assert_none_spans(windows: Sequence[Shown], *instants: float) -> None:
    """Check that no window holds pictures from both sides of an instant."""
    for window in windows:
        for at in instants:
            assert not window.oldest.sent_at < at < window.newest.sent_at, (at, window)


def instant_of(ledger: Ledger, what: str, after: float = 0.0) -> float | None:
    """Return when the camera first did something whose name begins with `what`."""
    found = (at for at, name in list(ledger.faults) if at > after and name.startswith(what))
    return next(found, None)


def wrap_of(ledger: Ledger) -> float | None:
    """Return when the camera's RTP timestamp last went through zero."""
    pairs = list(itertools.pairwise(ledger.snapshot()))
    found = (b.sent_at for a, b in reversed(pairs) if a.rtp_timestamp - b.rtp_timestamp > _WRAP / 2)
    return next(found, None)

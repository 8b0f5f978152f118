"""A rendered scene as a camera: the source behind `synthetic:NAME`.

In: a scene's name, seed, size and rate. Out: frames whose times are exact multiples of the frame
interval.
Invariant: in real time a frame is never late: where rendering does not keep up, frames are left out
by time, like a camera that drops them; as fast as possible, every frame comes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import count
from math import floor

from streamer.clock import Clock
from streamer.config import SyntheticSource
from streamer.errors import SourceOpenError
from streamer.frame import Frame, Picture
from streamer.scenes import Scene, scene
from streamer.source import SourceInfo, SourceStatistics

ROUNDING = 1e-6
"""Share of a frame interval within which a duration or an instant counts as reached."""


class SyntheticSourceReader:
    """Renders one scene; used once, by one thread.

    Args:
        config: scene, rate, size, duration and pace.
        clock: monotonic time; `stop.wait` does the waiting.
        stop: ends `frames()` within one frame, also while it waits.
    """

    def __init__(self, config: SyntheticSource, clock: Clock, stop: threading.Event) -> None:
        self._config = config
        self._clock = clock
        self._stop = stop
        self._scene: Scene | None = None
        self._statistics = SourceStatistics()

    def open(self) -> SourceInfo:
        """Draw the scene's still parts (some 50 ms).

        Returns:
            what will be delivered; never live, so that a scene with a duration may end.

        Raises:
            SourceOpenError: there is no scene of that name (kind not_found).
        """
        config = self._config
        try:
            self._scene = scene(config.name, config.seed, config.width, config.height)
        except ValueError as err:
            raise SourceOpenError(
                "not_found", f"synthetic:{config.name} cannot be rendered: {err}"
            ) from err
        is_paced = config.pace == "realtime"
        return SourceInfo(
            "rendered", config.width, config.height, config.fps, is_live=False, is_paced=is_paced
        )

    def frames(self) -> Iterator[Frame]:
        """Yield frames until the duration is over, the stop event is set or the source is closed.

        Rendering stands for decoding: it happens here and its time is `decode_s`,
        its CPU time counts as the decoder's.
        """
        began_at = self._clock.now()
        number = 0
        for index in count():
            if self._is_over(number) or not self._wait_until(began_at + number / self._config.fps):
                return
            if self._scene is None:
                return
            yield self._frame(self._scene, index, number)
            number = max(number + 1, self._due_number(began_at))

    def close(self) -> None:
        """Free the scene; idempotent."""
        self._scene = None

    def statistics(self) -> SourceStatistics:
        """Return running totals: only rendering, nothing is compressed or can be damaged."""
        return self._statistics

    def _is_over(self, number: int) -> bool:
        duration_s = self._config.duration_s
        return duration_s is not None and number + ROUNDING >= duration_s * self._config.fps

    def _due_number(self, began_at: float) -> int:
        """Return the number of the newest frame that is due; 0 where nothing is ever late."""
        if self._config.pace == "fast":
            return 0
        return floor((self._clock.now() - began_at) * self._config.fps + ROUNDING)

    def _wait_until(self, due_at: float) -> bool:
        """Wait in real time until an instant; return False when told to stop."""
        while self._config.pace == "realtime" and (left_s := due_at - self._clock.now()) > 0:
            if self._stop.wait(left_s):
                return False
        return not self._stop.is_set()

    def _frame(self, rendered: Scene, index: int, number: int) -> Frame:
        pts_s = number / self._config.fps
        started_at = self._clock.now()
        cpu_began_s = time.thread_time()
        pixels = rendered.render(pts_s)
        self._statistics.decode_cpu_s += time.thread_time() - cpu_began_s
        arrived_at = self._clock.now()

        def picture() -> Picture:
            return pixels

        return Frame(
            index=index,
            pts_s=pts_s,
            arrived_at=arrived_at,
            width=rendered.width,
            height=rendered.height,
            picture=picture,
            is_keyframe=True,
            decode_s=arrived_at - started_at,
        )

"""How many things move left and right in a video, counted by optical flow alone.

In: pictures. Out: for each pair of them, regions that move left and right. A yardstick for clips
without labels; it knows nothing of the network. Dense flow (Farneback) is thresholded, cleaned and
cut into connected regions; a region counts for the side its mean flow points to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
WIDTH_PX = 320
LEAST_SPEED = 0.02
"""Picture heights a second; slower flow is noise or standing."""
LEAST_AREA = 0.001
"""Share of the picture; a walker of 10 % of its height has about 0.3 %."""


class Moving(NamedTuple):
    """Regions that move to either side, at one moment."""

    media_s: float
    n_left: int
    n_right: int


def count_moving(pictures: Iterable[tuple[float, Picture]]) -> Iterator[Moving]:
    """Count regions between each picture and the one before.

    Args:
        pictures: time in seconds and uint8 (H, W, 3) RGB, in order.
    """
    before: tuple[float, Picture] | None = None
    kernel = np.ones((3, 3), np.uint8)
    for media_s, picture in pictures:
        height = round(picture.shape[0] * WIDTH_PX / picture.shape[1])
        small = cv2.resize(picture, (WIDTH_PX, height), interpolation=cv2.INTER_AREA)
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
        if before is not None:
            start = np.zeros((height, WIDTH_PX, 2), np.float32)
            flow = cv2.calcOpticalFlowFarneback(before[1], grey, start, 0.5, 3, 15, 3, 5, 1.2, 0)
            speed_px = LEAST_SPEED * height * (media_s - before[0])
            sides = []
            for sign in (-1, 1):
                is_moving = (sign * flow[..., 0] > max(speed_px, 0.3)).astype(np.uint8)
                opened = cv2.morphologyEx(is_moving, cv2.MORPH_OPEN, kernel)
                _, _, statistics, _ = cv2.connectedComponentsWithStats(opened)
                areas = statistics[1:, cv2.CC_STAT_AREA]
                sides.append(int((areas >= LEAST_AREA * grey.size).sum()))
            yield Moving(media_s, *sides)
        before = media_s, grey


def pictures_of(path: Path) -> Iterator[tuple[float, Picture]]:
    """Decode a file."""
    with av.open(str(path), timeout=(5, 5)) as container:
        for frame in container.decode(video=0):
            assert frame.time is not None
            yield frame.time, np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def seconds_with(moving: Iterable[Moving], duration_s: float) -> npt.NDArray[np.float64]:
    """Return the mean number of regions in each whole second, (n, 2): left, right."""
    n_seconds = int(duration_s)
    sums, counts = np.zeros((n_seconds, 2)), np.zeros(n_seconds)
    for one in moving:
        second = int(one.media_s)
        if second < n_seconds:
            sums[second] += one.n_left, one.n_right
            counts[second] += 1
    return sums / np.maximum(counts, 1)[:, None]

"""The motion gate on rendered squares: what must score, and what must not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from streamer.config import MotionConfig
from streamer.motion import Motion, MotionGate

Square = npt.NDArray[np.uint8]
Painter = Callable[[npt.NDArray[np.float32], float], npt.NDArray[np.float32]]

SIZE_PX = 256
FPS = 10.0
WARM_S = MotionConfig().warm_up_s


def wall(seed: int = 0) -> npt.NDArray[np.float32]:
    """A mid-grey wall with soft texture."""
    coarse = np.random.default_rng(seed).random((16, 16, 3), dtype=np.float32)
    smooth = cv2.resize(coarse, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_CUBIC)
    return np.asarray(60 + 90 * smooth, np.float32)


def film(
    paint: Painter, duration_s: float, noise: float = 3.0, fps: float = FPS
) -> Iterator[tuple[float, Square]]:
    """Render `paint` on the wall with sensor noise."""
    rng = np.random.default_rng(1)
    base = wall()
    for index in range(round(duration_s * fps)):
        time_s = index / fps
        picture = paint(base.copy(), time_s) + rng.normal(0, noise, base.shape).astype(np.float32)
        yield time_s, np.clip(picture, 0, 255).astype(np.uint8)


def scores(
    paint: Painter, duration_s: float, noise: float = 3.0, fps: float = FPS
) -> dict[float, Motion]:
    gate = MotionGate(MotionConfig(), fps)
    return {
        time_s: gate.score(square, time_s) for time_s, square in film(paint, duration_s, noise, fps)
    }


def nothing(picture: npt.NDArray[np.float32], time_s: float) -> npt.NDArray[np.float32]:
    return picture


def walker(picture: npt.NDArray[np.float32], time_s: float) -> npt.NDArray[np.float32]:
    """A box of 8 x 24 % of the picture walks right from 3 s to 5 s, stands until 9 s and is
    gone."""
    if 3 <= time_s < 9:
        x = int(40 + 60 * (min(time_s, 5.0) - 3))
        picture[100:160, x : x + 20] = (230, 40, 40)
    return picture


def peak(seen: dict[float, Motion], start_s: float, end_s: float) -> float:
    return max(motion.score for time_s, motion in seen.items() if start_s <= time_s < end_s)


@pytest.mark.parametrize("fps", [5.0, 10.0, 25.0])
def test_a_walker_scores_while_it_moves_at_any_rate(fps: float) -> None:
    """The score is above 0.5 in every frame of the walk once it is fully under way."""
    seen = scores(walker, 6.0, fps=fps)
    moving = [motion.score for time_s, motion in seen.items() if 3.3 <= time_s <= 5.0]
    assert min(moving) > 0.5


def test_an_empty_noisy_scene_scores_nothing() -> None:
    """Sensor noise of 12 grey levels never comes near the level that begins an event."""
    assert peak(scores(nothing, 15.0, noise=12.0), WARM_S, 15.0) < 0.1


@pytest.mark.parametrize("noise", [3.0, 40.0])
def test_standing_still_fades_before_the_background_has_learned_it(noise: float) -> None:
    """What stands has not moved for LAG_S: it scores 0 soon, by day and in the noise of bad light.

    The wall is known for a minute, so the subtraction itself would tell the visitor for seconds.
    """
    gate = MotionGate(MotionConfig(), FPS)
    for index, (_, square) in enumerate(film(nothing, 12.0, noise)):
        gate.score(square, index * 0.5)
    course = film(lambda picture, time_s: walker(picture, time_s + 3.0), 4.0, noise)
    seen = {time_s: gate.score(square, 60 + time_s) for time_s, square in course}
    assert peak(seen, 0.5, 2.0) > 0.5
    assert peak(seen, 2.6, 3.6) < 0.1


def test_the_hole_left_behind_does_not_score_on() -> None:
    """When the walker vanishes after standing, the uncovered wall is foreground but still."""
    seen = scores(walker, 12.0)
    assert peak(seen, 9.6, 12.0) < 0.1


def test_the_smallest_region_that_counts_scores_one_half() -> None:
    """A region of min_area_ratio of the picture maps to 0.5; a quarter of it clearly less, four
    times it clearly more."""

    def at(ratio: float) -> float:
        side = round((ratio * SIZE_PX**2) ** 0.5)

        def jump(picture: npt.NDArray[np.float32], time_s: float) -> npt.NDArray[np.float32]:
            if time_s >= 2.95:
                x = 40 + side * round((time_s - 2.95) * FPS)
                picture[100 : 100 + side, x : x + side] = (250, 250, 30)
            return picture

        return float(np.median([m.score for t, m in scores(jump, 3.5).items() if t >= 2.95]))

    ratio = MotionConfig().min_area_ratio
    assert at(ratio) == pytest.approx(0.5, abs=0.12)
    assert at(ratio / 4) < 0.4
    assert at(ratio * 4) > 0.7


def test_exposure_that_drifts_scores_nothing() -> None:
    """A camera that darkens to 60 % and back within seconds moves nothing."""

    def drift(picture: npt.NDArray[np.float32], time_s: float) -> npt.NDArray[np.float32]:
        return picture * np.float32(0.8 + 0.2 * np.cos(2 * np.pi * time_s / 6))

    assert peak(scores(drift, 12.0), WARM_S, 12.0) < 0.1


def test_a_walker_scores_although_the_exposure_drifts() -> None:
    """Dividing the exposure out does not divide the object out."""

    def both(picture: npt.NDArray[np.float32], time_s: float) -> npt.NDArray[np.float32]:
        return walker(picture, time_s) * np.float32(0.8 + 0.2 * np.cos(2 * np.pi * time_s / 6))

    seen = scores(both, 6.0)
    assert min(m.score for t, m in seen.items() if 3.3 <= t <= 5.0) > 0.5


def one_sided_lamp(picture: npt.NDArray[np.float32], time_s: float) -> npt.NDArray[np.float32]:
    """A lamp at the right edge, on from 4 s: no factor explains it."""
    if time_s >= 4:
        picture *= np.linspace(0.8, 2.6, SIZE_PX, dtype=np.float32)[None, :, None]
    return picture


def test_a_lamp_is_lightning_and_scores_nothing() -> None:
    """A sudden change of most of the picture is told as such, and the new light is background soon
    after."""
    seen = scores(one_sided_lamp, 7.0)
    assert any(motion.is_lightning for time_s, motion in seen.items() if 4 <= time_s < 4.5)
    assert peak(seen, WARM_S, 7.0) < 0.25
    assert not any(motion.is_lightning for time_s, motion in seen.items() if time_s >= 4.5)


def test_a_walker_scores_soon_after_lightning() -> None:
    """The background is learned anew at once: a second after the lamp motion counts again."""

    def later(picture: npt.NDArray[np.float32], time_s: float) -> npt.NDArray[np.float32]:
        return walker(one_sided_lamp(picture, time_s), time_s - 2.0)

    seen = scores(later, 7.0)
    assert min(m.score for t, m in seen.items() if 5.3 <= t <= 6.9) > 0.5


def test_scores_count_from_the_end_of_the_warm_up() -> None:
    """is_warm turns true warm_up_s after the first picture, in capture time, and stays so."""
    seen = scores(nothing, 3.0)
    assert [motion.is_warm for motion in seen.values()] == [t >= WARM_S for t in seen]


def test_reset_forgets_the_scene_and_the_time_line() -> None:
    """After reset another scene at an earlier time scores nothing and warms up again."""
    gate = MotionGate(MotionConfig(), FPS)
    for time_s, square in film(nothing, 3.0):
        gate.score(square, 100 + time_s)
    gate.reset()
    seen = [gate.score(255 - square, time_s) for time_s, square in film(nothing, 3.0)]
    assert not seen[0].is_warm
    assert max(motion.score for motion in seen) < 0.1
    assert not any(motion.is_lightning for motion in seen)


def test_the_same_pictures_give_the_same_scores() -> None:
    """The gate is pure."""
    assert scores(walker, 5.0) == scores(walker, 5.0)


def test_the_picture_is_not_modified() -> None:
    """The square is the ring's memory, which the model reads afterwards."""
    gate = MotionGate(MotionConfig(), FPS)
    for time_s, square in film(walker, 4.0):
        before = square.copy()
        gate.score(square, time_s)
        assert np.array_equal(square, before)


@pytest.mark.parametrize("level", [0, 255])
def test_a_flat_picture_scores_nothing(level: int) -> None:
    """Black and white pictures without any texture are no division by zero and no motion."""
    gate = MotionGate(MotionConfig(), FPS)
    flat = np.full((SIZE_PX, SIZE_PX, 3), level, np.uint8)
    assert [gate.score(flat, i / FPS).score for i in range(30)] == [0.0] * 30

"""Which pictures may reach the model, and whether the picture is alive."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from streamer.frame import Frame
from streamer.integrity import FrameGate, PictureHealth, Verdict

INTERVAL_S = 0.1


class Stream:
    """Feeds a gate with frames 0.1 s apart; each letter of a text is a frame.

    k: key frame, p: inter frame, x: damaged frame; capitals have the other size.
    """

    SIZES = ((320, 240), (640, 360))

    def __init__(self, announced: tuple[int, int] | None = None) -> None:
        self.gate = FrameGate(announced)
        self.n = 0

    def feed(self, text: str) -> list[Verdict]:
        return [self._one(letter) for letter in text]

    def _one(self, letter: str) -> Verdict:
        width, height = self.SIZES[letter.isupper()]
        frame = Frame(
            index=self.n,
            pts_s=None,
            arrived_at=1000.0 + self.n * INTERVAL_S,
            width=width,
            height=height,
            picture=lambda: np.zeros((2, 2, 3), np.uint8),
            is_corrupt=letter.lower() == "x",
            is_keyframe=letter.lower() == "k",
        )
        self.n += 1
        return self.gate.check(frame)

    def drops(self, text: str) -> list[str]:
        return [verdict.drop or "-" for verdict in self.feed(text)]


def test_frames_before_the_first_key_frame_are_dropped() -> None:
    """They show gray smears that no model was trained on."""
    assert Stream().drops("pppkpp") == ["no_keyframe"] * 3 + ["-"] * 3


def test_damaged_frames_are_dropped() -> None:
    """Whatever the decoder marks does not reach the model; a damaged key frame begins nothing."""
    assert Stream().drops("xpkpxp") == ["corrupt", "no_keyframe", "-", "-", "corrupt", "-"]


def test_a_few_frames_of_another_size_never_get_through() -> None:
    """Damaged parameter sets make pictures of any size, two in a row included."""
    stream = Stream()
    stream.feed("kpp")
    assert stream.drops("PpPPpKPpp") == [
        *("off_size", "-", "off_size", "off_size", "-", "off_size", "off_size", "-", "-")
    ]


def test_a_size_that_persists_is_a_change_and_is_told_once() -> None:
    """The third frame in a row is used and begins a new run."""
    stream = Stream()
    stream.feed("kppppp")
    verdicts = stream.feed("KPPPP")
    assert [v.drop for v in verdicts] == ["off_size", "off_size", None, None, None]
    assert [v.is_resized for v in verdicts] == [False, False, True, False, False]


def test_a_change_there_and_back_is_two_changes() -> None:
    """320x240 -> 640x360 -> 320x240, each on purpose."""
    stream = Stream()
    verdicts = stream.feed("kpppp" + "KPPPP" + "kpppp")
    assert [k for k, v in enumerate(verdicts) if v.is_resized] == [7, 12]
    assert sum(v.drop == "off_size" for v in verdicts) == 4


def test_after_damage_a_new_size_needs_four_key_frames_and_some_time() -> None:
    """One flipped bit in a parameter set lasts a whole group of pictures, or two or three."""
    stream = Stream()
    stream.feed("kppxpp")
    assert set(stream.drops(("K" + "P" * 9) * 3)) == {"off_size"}
    assert stream.drops("kppp") == ["-"] * 4
    assert set(stream.drops("KKKKKK")) == {"off_size"}
    assert stream.drops("kppp") == ["-"] * 4
    assert stream.drops(("K" + "P" * 9) * 3 + "KPP") == ["off_size"] * 30 + ["-"] * 3


def test_the_way_back_to_the_announced_size_is_shorter() -> None:
    """A false size that was believed is left with the second key frame of the true one."""
    stream = Stream((320, 240))
    assert stream.drops("kppKPPPPx") == [*"---", "off_size", "off_size", *"---", "corrupt"]
    assert stream.drops("kppkpp") == ["off_size"] * 3 + ["-"] * 3


def test_distrust_ends_when_the_stream_is_clean_again() -> None:
    """Ten seconds after the damage a change of size is believed at once again."""
    stream = Stream()
    stream.feed("kpx" + "kppppppppp" * 11)
    assert stream.drops("KPP") == ["off_size", "off_size", "-"]


def test_a_false_size_at_the_start_is_recognised_by_the_announced_one() -> None:
    """The first key frame may be the damaged one."""
    assert Stream((320, 240)).drops("KPkpp") == ["off_size", "off_size", "-", "-", "-"]


def test_an_unknown_announced_size_is_no_size() -> None:
    """Then the first key frame is believed."""
    assert Stream((0, 0)).drops("Kp") == ["-", "off_size"]


def test_a_falsely_announced_size_is_left_even_while_packets_are_damaged() -> None:
    """Two key frames of the true size suffice, damaged pictures between them or not."""
    stream = Stream((640, 360))
    assert "-" in stream.drops("kpxppxkpxpkp")


def test_frames_after_damage_are_degraded_until_repaired_and_for_a_second() -> None:
    """A key frame repairs the picture; a window of one second still holds the damage."""
    stream = Stream()
    flags = [v.is_degraded for v in stream.feed("kpx" + "p" * 3 + "k" + "p" * 10)]
    # Damage at frame 2; the key frame comes at 6; one second is over at frame 12.
    assert flags == [False] * 2 + [True] * 10 + [False] * 5


def test_without_a_key_frame_damage_lasts_longer_than_a_second() -> None:
    """Inter frames copy the damage on."""
    stream = Stream()
    stream.feed("kpx")
    flags = [v.is_degraded for v in stream.feed("p" * 30 + "k")]
    assert flags == [True] * 30 + [False]


def test_a_stream_without_further_key_frames_heals_in_time() -> None:
    """Intra refresh repairs pictures without ever sending a key frame."""
    stream = Stream()
    stream.feed("kpx")
    assert not stream.feed("p" * 101)[-1].is_degraded


def test_a_true_change_of_size_is_no_damage() -> None:
    """Only sizes that go back are."""
    stream = Stream()
    assert not any(v.is_degraded for v in stream.feed("kppKPPPP") if v.drop is None)


# ---- PictureHealth -----------------------------------------------------------------------------

Luma = npt.NDArray[np.uint8]


def noise(seed: int, level: float = 100.0, sigma: float = 1.0) -> Luma:
    values = np.random.default_rng(seed).normal(level, sigma, (64, 64))
    return np.clip(values, 0, 255).astype(np.uint8)


def observe(health: PictureHealth, picture: Luma, begin_s: float, seconds: float) -> list[str]:
    n = round(seconds * 10)
    return [health.observe(picture, begin_s + k * INTERVAL_S) for k in range(n)]


def test_identical_pictures_are_frozen_after_their_time() -> None:
    """10 s of the very same picture from a live camera."""
    states = observe(PictureHealth(10.0, 10.0), noise(1), 5.0, 12.0)
    assert states.index("frozen") == pytest.approx(100, abs=1)
    assert set(states[101:]) == {"frozen"}


def test_one_new_picture_clears_frozen() -> None:
    """At once."""
    health = PictureHealth(10.0, 10.0)
    observe(health, noise(1), 0.0, 12.0)
    assert health.observe(noise(2), 12.0) == "ok"
    assert health.observe(noise(2), 12.1) == "ok"


def test_a_static_scene_with_noise_is_never_frozen() -> None:
    """Ten minutes of a still room through a real sensor (sigma 1)."""
    health = PictureHealth(10.0, 10.0)
    assert {health.observe(noise(k), k * INTERVAL_S) for k in range(6000)} == {"ok"}


def test_a_slow_camera_is_not_frozen_by_two_equal_pictures() -> None:
    """One picture every 10 s: two equal ones say nothing."""
    health = PictureHealth(10.0, 10.0)
    states = [health.observe(noise(1), 10.0 * k) for k in range(5)]
    assert states == ["ok"] * 4 + ["frozen"]


@pytest.mark.parametrize("sigma", [0.0, 4.0])
def test_a_dark_picture_is_black_after_its_time(sigma: float) -> None:
    """A lens cap or a dead sensor, with or without noise; black wins over frozen."""
    health = PictureHealth(10.0, 10.0)
    states = [health.observe(noise(k, 6.0, sigma), k * INTERVAL_S) for k in range(120)]
    assert states.index("black") == pytest.approx(100, abs=1)


def test_pictures_after_a_lost_one_are_degraded_until_a_key_frame_and_a_second() -> None:
    """HEVC decoders leave damaged pictures out and mark nothing."""
    gate = FrameGate()

    def judge(k: int, n_lost: int = 0, *, is_keyframe: bool = False) -> Verdict:
        at = k * INTERVAL_S
        picture = lambda: noise(1)  # noqa: E731 - never called
        return gate.check(
            Frame(k, None, at, 320, 240, picture, is_keyframe=is_keyframe, n_lost=n_lost)
        )

    assert judge(0, is_keyframe=True) == judge(1) == Verdict(None)
    assert judge(3, n_lost=1) == Verdict(None, is_degraded=True)
    assert all(judge(k).is_degraded for k in range(4, 30))
    assert judge(30, is_keyframe=True) == judge(31) == Verdict(None)


def test_light_clears_black() -> None:
    """At once."""
    health = PictureHealth(10.0, 10.0)
    observe(health, noise(1, 0.0, 0.0), 0.0, 12.0)
    assert health.observe(noise(2), 12.0) == "ok"


def test_a_night_scene_with_a_lamp_is_not_black() -> None:
    """Dark almost everywhere, but something can be seen."""
    scene = noise(1, 4.0, 0.0)
    scene[:16, :16] = 180
    health = PictureHealth(1000.0, 10.0)
    assert set(observe(health, scene, 0.0, 15.0)) == {"ok"}


def test_the_given_picture_may_be_reused_by_its_owner() -> None:
    """The ring overwrites its slots; what is remembered must be a copy."""
    picture = noise(1)
    health = PictureHealth(1.0, 10.0)
    for k in range(30):
        picture[0, 0] = k
        assert health.observe(picture, k * INTERVAL_S) == "ok"

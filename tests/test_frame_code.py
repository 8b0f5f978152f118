"""The frame code and the scenes that carry it hold what the fault tests rely on."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest

from tests.camera_clip import ClipSpec, encode_clip, render
from tests.frame_code import N_COUNTERS, draw_code, read_code


@pytest.mark.parametrize("crf", [23, 35, 45])
@pytest.mark.parametrize("size", [(320, 240), (640, 360)])
def test_frame_code_survives_coding_and_the_squash_to_the_models_square(
    crf: int, size: tuple[int, int]
) -> None:
    """Every picture reads back right at CRF 23, 35 and 45, in its own size and at 256 x 256."""
    spec = ClipSpec(width=size[0], height=size[1], gop=25, content="moving", n_gops=2, crf=crf)
    decoder = av.CodecContext.create("h264", "r")
    read: list[tuple[int | None, int | None]] = []
    for nals in encode_clip(spec).predicted:
        data = b"".join(b"\0\0\0\1" + nal for nal in nals)
        for frame in decoder.decode(av.Packet(data)):
            rgb = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            square = cv2.resize(rgb, (256, 256), interpolation=cv2.INTER_AREA)
            read.append((read_code(rgb), read_code(np.asarray(square, np.uint8))))
    assert len(read) >= spec.n_frames - 1
    assert read == [(i, i) for i in range(len(read))]


def test_frame_code_is_one_to_one_over_24_bits_and_refuses_more() -> None:
    """Counters from all over the range come back, a 25th bit is an error, an uncoded picture reads
    as None."""
    picture = np.zeros((48, 64), np.uint8)
    for counter in [0, 1, N_COUNTERS - 1, *range(0, N_COUNTERS, 104_729)]:
        draw_code(picture, counter)
        assert read_code(picture) == counter
    assert read_code(np.full((240, 320), 128, np.uint8)) is None
    with pytest.raises(ValueError, match="24 bits"):
        draw_code(picture, N_COUNTERS)


@pytest.mark.parametrize(("content", "moves"), [("static", False), ("moving", True)])
def test_only_the_moving_scene_moves_for_a_background_model(content: str, moves: bool) -> None:
    """After 3 s no foreground blob above 0.4 % of the picture in the static scene; in the moving
    scene there is one."""
    spec = ClipSpec(content="moving" if moves else "static")
    model = cv2.createBackgroundSubtractorMOG2(history=300, detectShadows=False)
    largest = []
    for index in range(spec.n_frames):
        mask = model.apply(cv2.resize(render(spec, index), (128, 128)))
        areas = cv2.connectedComponentsWithStats(
            cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3)))
        )[2][1:, 4]
        largest.append(areas.max(initial=0) / 128**2)
    assert bool(max(largest[30:]) > 0.004) is moves

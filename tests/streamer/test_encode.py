"""Claims about streamer.encode: a file that plays like a camera's stream."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from streamer.encode import write_video


def grey(value: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    return np.full((*size, 3), value, np.uint8)


def test_every_picture_is_there_at_its_time(tmp_path: Path) -> None:
    """Picture k at k / fps, H.264, of the same size and nearly the same colour."""
    path = tmp_path / "clip.mp4"
    assert write_video(path, (grey(20 * k) for k in range(12)), 5) == 12
    with av.open(str(path), timeout=(5, 5)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        frames = list(container.decode(video=0))
    assert [frame.time for frame in frames] == pytest.approx([k / 5 for k in range(12)])
    means = [frame.to_ndarray(format="rgb24").mean() for frame in frames]
    assert means == pytest.approx([20.0 * k for k in range(12)], abs=4)


def test_a_key_frame_comes_every_second_and_nothing_is_reordered(tmp_path: Path) -> None:
    """As from a surveillance camera: a reader can begin within a second and never waits."""
    path = tmp_path / "clip.mp4"
    write_video(path, (grey(k) for k in range(25)), 10)
    with av.open(str(path), timeout=(5, 5)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.pts is not None]
    assert [k for k, packet in enumerate(packets) if packet.is_keyframe] == [0, 10, 20]
    assert [packet.pts for packet in packets] == sorted(packet.pts for packet in packets)


@pytest.mark.parametrize("pictures", [[], [grey(1, (47, 64))], [grey(1, (48, 63))]])
def test_what_cannot_be_coded_is_refused(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    """No pictures, or odd sides, which the format has not."""
    with pytest.raises(ValueError, match="at least one picture, with even sides"):
        write_video(tmp_path / "clip.mp4", pictures, 5)

"""Left and right on a busy campus: events of a bundle against an optical-flow count.

Run it from the repository root: `python -m tests.bench.bench_flow BUNDLE [--engine openvino]`. In:
the campus clip of ../shared/data, which has no labels. Out: JSON: for each side the seconds in
which the flow sees somebody go that way, the share of those with the label's event going on, the
same for the seconds in which it sees nobody, and the correlation of flow and score.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.arguments import assemble
from pipeline.exam import Plan, examination
from pipeline.records import Prediction
from pipeline.replay import Replayer
from pipeline.sweep import Tracks
from streamer.config import FileSource
from tests.conftest import SHARED_DATA
from tests.flow_count import count_moving, pictures_of, seconds_with

CLIP = SHARED_DATA / "camera_opencv_apache2" / "vtest_480x360.mp4"
SIDES = ("left", "right")
CLEAR = 0.8
"""Mean regions in a second from which somebody goes that way; below 0.2 nobody does."""


def compare(bundle: str, engine: str | None, clip: Path = CLIP) -> dict[str, Any]:
    """Replay the clip through the bundle and compare each side with the flow."""
    config = assemble((str(clip),), None, {"engine": engine})
    config = config.model_copy(update={"model": config.model.model_copy(update={"bundle": bundle})})
    with examination(config, Plan(), print) as exam:
        replayer = Replayer(config, exam.bundle.manifest, exam.classifier)
        recording = replayer.replay(clip.stem, FileSource(path=clip, pace="fast"))
        alarms = Tracks(recording, config.detector, exam.bundle.manifest).alarms(exam.limits)
    flow = seconds_with(count_moving(pictures_of(clip)), recording.duration_s)
    first = int(np.ceil(recording.watched_from_s))
    found: dict[str, Any] = {"seconds": len(flow) - first}
    for column, side in enumerate(SIDES):
        spans = [alarm.span for alarm in alarms if alarm.label == side]
        seconds = np.arange(first, len(flow))
        is_on = np.array([any(span.holds(second + 0.5) for span in spans) for second in seconds])
        index = recording.labels.index(side)
        score = np.zeros(len(flow))
        for item in recording.items:
            if isinstance(item, Prediction) and (at := int(item.window.media_end_s)) < len(flow):
                score[at] = max(score[at], item.scores[index])
        moving = flow[first:, column]
        clear, quiet = moving >= CLEAR, moving < 1 - CLEAR
        found[side] = {
            "events": len(spans),
            "mean_regions": float(moving.mean()),
            "seconds_moving": int(clear.sum()),
            "told_of_moving": float(is_on[clear].mean()) if clear.any() else None,
            "seconds_without": int(quiet.sum()),
            "told_of_without": float(is_on[quiet].mean()) if quiet.any() else None,
            "correlation": float(np.corrcoef(moving, score[first:])[0, 1]),
        }
    return found


def main() -> None:
    """Parse the arguments and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("bundle")
    parser.add_argument("--engine", choices=("tensorflow", "openvino"))
    options = parser.parse_args()
    print(json.dumps(compare(options.bundle, options.engine), indent=1))


if __name__ == "__main__":
    main()

"""Finds what is wrong with a data set before it is trained on.

In: a manifest. Through: every video, decoded once. Out: findings, each an error or a warning with
the video or group it is about, and the figures that a table shows.
Invariant: an error is what would make training fail or its result untrue; everything else that one
should know is a warning; nothing is changed.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Literal

import cv2
import numpy as np

from model.data.fact import VideoFacts, find_facts, pairs_of_same_content
from model.data.manifest import Manifest, Segment
from model.data.sampler import END_SLACK_S

Severity = Literal["error", "warning"]

_IMBALANCE: Final = 10.0
# Announced and found lengths differ by a picture or two in sound files.
_CUT_SHORT_S: Final = 1.0
_ROUNDING_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that one should know.

    Attributes:
        severity: error or warning.
        code: which kind, such as `decode`.
        subject: video, group or label it is about.
        text: what is wrong and what to do.
    """

    severity: Severity
    code: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Demand:
    """What training will want.

    Attributes:
        fps: frames a second of the model.
        window_s: length of its window.
    """

    fps: float = 10.0
    window_s: float = 3.2


@dataclass(frozen=True, slots=True)
class Audit:
    """The outcome.

    Attributes:
        findings: errors first.
        videos: facts by relative path.
        segments: all that were looked at.
        labels: the label list.
    """

    findings: tuple[Finding, ...]
    videos: Mapping[str, VideoFacts]
    segments: tuple[Segment, ...]
    labels: tuple[str, ...]

    @property
    def n_errors(self) -> int:
        """How many findings are errors."""
        return sum(finding.severity == "error" for finding in self.findings)

    def balance(self) -> dict[str, dict[str, int]]:
        """Return the number of segments by label and split; `none` where there is no split."""
        counts: dict[str, Counter[str]] = {label: Counter() for label in self.labels}
        for segment in self.segments:
            for label in segment.labels:
                counts[label][segment.split or "none"] += 1
        return {label: dict(found) for label, found in counts.items()}

    def plain(self) -> dict[str, Any]:
        """Return everything as plain data, for JSON."""
        fields = ("problem", "n_bytes", "codec", "width", "height", "n_frames")
        times = ("fps", "length_s", "announced_s")
        videos = {
            path: {name: getattr(facts, name) for name in fields}
            | {name: _rounded(getattr(facts, name)) for name in times}
            | {"n_damaged": facts.n_damaged, "damaged_s": [round(t, 3) for t in facts.damaged_s]}
            | {"gaps_s": [round(t, 3) for t in facts.gaps_s], "sha256": facts.digest}
            for path, facts in self.videos.items()
        }
        return {
            "n_errors": self.n_errors,
            "n_warnings": len(self.findings) - self.n_errors,
            "n_segments": len(self.segments),
            "balance": self.balance(),
            "lengths_s": self.lengths_s(),
            "findings": [
                {name: getattr(f, name) for name in ("severity", "code", "subject", "text")}
                for f in self.findings
            ],
            "videos": videos,
        }

    def lengths_s(self) -> dict[str, float]:
        """Return quantiles of the segments' lengths in seconds; empty where none is known."""
        lengths = [
            end_s - segment.start_s
            for segment in self.segments
            if (end_s := _end_s(segment, self.videos[segment.path])) > segment.start_s
        ]
        if not lengths:
            return {}
        named = {"least": 0, "p10": 10, "median": 50, "p90": 90, "most": 100}
        return {name: round(float(np.percentile(lengths, q)), 3) for name, q in named.items()}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def audit(
    manifest: Manifest,
    demand: Demand = Demand(),
    tell: Callable[[int, int], None] | None = None,
) -> Audit:
    """Look at every video and every segment of a data set.

    Args:
        manifest: the data set.
        demand: what training will want.
        tell: called with how many videos are done, and how many there are.

    Returns:
        findings and figures.
    """
    videos = _survey(manifest, tell)
    findings = [
        *_of_videos(manifest, videos),
        *_of_segments(manifest, videos, demand),
        *_leaks(manifest.segments),
        *_copies(manifest, videos),
        *_balance(manifest),
    ]
    findings.sort(key=lambda finding: (finding.severity, finding.code, finding.subject))
    return Audit(tuple(findings), videos, manifest.segments, manifest.labels)


def _survey(manifest: Manifest, tell: Callable[[int, int], None] | None) -> dict[str, VideoFacts]:
    paths = sorted({segment.path for segment in manifest.segments})
    # One picture at a time each: OpenCV's own threads would only be in their way.
    cv2.setNumThreads(1)
    found: dict[str, VideoFacts] = {}
    n_threads = len(os.sched_getaffinity(0))
    # libav decodes without Python's lock, so that threads are enough.
    with ThreadPoolExecutor(n_threads, thread_name_prefix="audit") as pool:
        results = pool.map(lambda path: find_facts(manifest.root / path), paths)
        for path, facts in zip(paths, results, strict=True):
            found[path] = facts
            if tell is not None:
                tell(len(found), len(paths))
    return found


def _end_s(segment: Segment, facts: VideoFacts) -> float:
    return facts.length_s if segment.end_s is None else segment.end_s


def _of_videos(manifest: Manifest, videos: Mapping[str, VideoFacts]) -> Iterator[Finding]:
    by_path: dict[str, list[Segment]] = defaultdict(list)
    for segment in manifest.segments:
        by_path[segment.path].append(segment)
    for path, facts in videos.items():
        if not facts.n_frames:
            yield Finding("error", "unreadable", path, facts.problem or "has no picture")
            continue
        if facts.problem:
            yield Finding("error", "decode", path, facts.problem)
        yield from _damage(path, facts, by_path[path])
        missing_s = (facts.announced_s or 0.0) - facts.length_s
        if missing_s > _CUT_SHORT_S:
            text = (
                f"announces {facts.announced_s:.1f} s and holds {facts.length_s:.1f} s of pictures;"
                " it may be cut short"
            )
            yield Finding("warning", "length", path, text)


def _damage(path: str, facts: VideoFacts, segments: list[Segment]) -> Iterator[Finding]:
    """Damage and gaps: errors where a segment holds them, warnings elsewhere."""
    kinds = (("decode", "cannot be decoded", facts.damaged_s), ("gap", "has a gap", facts.gaps_s))
    for code, what, times_s in kinds:
        inside = [t for t in times_s if any(_holds(s, facts, t) for s in segments)]
        outside = [t for t in times_s if t not in inside]
        if inside:
            text = f"{what} at {_listed(inside)}, within a segment; cut there or leave it out"
            yield Finding("error", code, path, text)
        if outside:
            yield Finding("warning", code, path, f"{what} at {_listed(outside)}, in no segment")


def _holds(segment: Segment, facts: VideoFacts, at_s: float) -> bool:
    return segment.start_s <= at_s <= _end_s(segment, facts)


def _listed(times_s: Iterable[float]) -> str:
    texts = [f"{t:.1f} s" for t in times_s]
    return ", ".join(texts[:5]) + (f" and {len(texts) - 5} more" if len(texts) > 5 else "")


def _of_segments(
    manifest: Manifest, videos: Mapping[str, VideoFacts], demand: Demand
) -> Iterator[Finding]:
    for segment in manifest.segments:
        facts = videos[segment.path]
        if facts.n_frames:
            yield from _outside(segment, facts)
    short = {p: v for p, v in videos.items() if 0 < v.length_s < demand.window_s - _ROUNDING_S}
    for path, facts in short.items():
        text = f"is {facts.length_s:.1f} s long; its first picture is held to fill a window"
        yield Finding("warning", "short", path, text)
    slow = {p: v for p, v in videos.items() if 0 < v.fps < 0.9 * demand.fps}
    for path, facts in slow.items():
        text = f"has {facts.fps:.1f} pictures a second; {demand.fps:g} are made by repeating them"
        yield Finding("warning", "fps", path, text)


def _outside(segment: Segment, facts: VideoFacts) -> Iterator[Finding]:
    end_s = _end_s(segment, facts)
    said = f"segment {segment.start_s:g} to {end_s:g} s of {', '.join(segment.labels) or 'nothing'}"
    late_s = end_s - facts.length_s
    if segment.start_s >= facts.length_s:
        text = f"{said} begins after the video's {facts.length_s:.1f} s; correct it"
        yield Finding("error", "outside", segment.path, text)
    elif late_s > END_SLACK_S:
        text = f"{said} ends after the video's {facts.length_s:.1f} s; correct it"
        yield Finding("error", "outside", segment.path, text)
    elif late_s > _ROUNDING_S:
        text = f"{said} ends {late_s:.2f} s after the video; it is taken to end with it"
        yield Finding("warning", "outside", segment.path, text)


def _leaks(segments: Iterable[Segment]) -> Iterator[Finding]:
    of_group: dict[str, set[str]] = defaultdict(set)
    of_path: dict[str, set[str]] = defaultdict(set)
    for segment in segments:
        if segment.split:
            of_path[segment.path].add(segment.split)
            if segment.group:
                of_group[segment.group].add(segment.split)
    for kind, found in (("group", of_group), ("video", of_path)):
        for name, splits in found.items():
            if len(splits) > 1:
                text = f"{kind} is in {' and '.join(sorted(splits))}; `bresnet data split` parts it"
                yield Finding("error", "leak", name, text)


def _copies(manifest: Manifest, videos: Mapping[str, VideoFacts]) -> Iterator[Finding]:
    splits: dict[str, set[str]] = defaultdict(set)
    for segment in manifest.segments:
        splits[segment.path].add(segment.split or "none")
    by_digest: dict[str, list[str]] = defaultdict(list)
    for path, facts in videos.items():
        by_digest[facts.digest or path].append(path)
    for paths in (paths for paths in by_digest.values() if len(paths) > 1):
        is_leak = len(set.union(*(splits[path] for path in paths))) > 1
        text = f"same bytes as {', '.join(paths[1:])}"
        text += ", in another split; remove it there" if is_leak else "; keep one"
        yield Finding("error" if is_leak else "warning", "duplicate", paths[0], text)
    for one, other in pairs_of_same_content(dict(videos)):
        where = ", which is in another split" if splits[one] != splits[other] else ""
        text = f"shows the same as {other}, coded differently{where}"
        yield Finding("warning", "duplicate", one, text)
    yield from _repeated(manifest)


def _repeated(manifest: Manifest) -> Iterator[Finding]:
    pieces = Counter((s.path, s.start_s, s.end_s, s.labels) for s in manifest.segments)
    for (path, start_s, _, labels), n in pieces.items():
        if n > 1:
            text = f"segment from {start_s:g} s of {', '.join(labels)} is listed {n} times"
            yield Finding("warning", "duplicate", path, text)


def _balance(manifest: Manifest) -> Iterator[Finding]:
    totals: Counter[str] = Counter(label for s in manifest.segments for label in s.labels)
    trained = {label for s in manifest.of("train") for label in s.labels}
    has_splits = any(segment.split for segment in manifest.segments)
    if not has_splits:
        text = "no segment has a split; divide with `bresnet data split`"
        yield Finding("warning", "split", "all", text)
    for label in manifest.labels:
        if not totals[label]:
            yield Finding("warning", "balance", label, "no segment has this label")
        elif has_splits and label not in trained:
            yield Finding("warning", "balance", label, "no segment of the split train has it")
    if totals:
        (most, n_most), (least, n_least) = totals.most_common()[0], totals.most_common()[-1]
        if n_most > _IMBALANCE * n_least:
            text = f"{n_most} segments, {least} has {n_least}; train with balanced classes"
            yield Finding("warning", "balance", most, text)

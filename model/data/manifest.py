"""The one list of labelled video pieces that training, evaluation and the audit read.

In: a JSON file. Out: a checked `Manifest`, and back. Paths are relative to its root folder, which
is itself relative to the file's folder unless it is absolute, so that a data set can be moved.
Invariant: a manifest that was loaded names no file outside of its root, no label outside of its
label list, and no piece that ends before it begins; whether the files are good is for the audit.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, Literal, get_args

import msgspec

from model.errors import DataError

FORMAT: Final = "bresnet-manifest/1"
MAX_BYTES: Final = 1 << 30
Split = Literal["train", "validation", "test"]
SPLITS: Final[tuple[Split, ...]] = get_args(Split)


class Segment(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A labelled piece of a video.

    Attributes:
        path: of the video, relative to the manifest's root, with forward slashes.
        labels: what it shows; none means that nothing of the label list happens.
        start_s: begin, seconds from the video's first picture.
        end_s: end; that of the video where absent.
        group: what must not be in two splits at once: a person, a room, an original video.
        split: where it is used; none means nowhere yet.
    """

    path: str
    labels: tuple[str, ...] = ()
    start_s: float = 0.0
    end_s: float | None = None
    group: str = ""
    split: Split | None = None

    @property
    def group_or_path(self) -> str:
        """The group; a video without one is a group of its own."""
        return self.group or self.path


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file as it is written."""

    format: str
    root: str
    labels: tuple[str, ...]
    segments: tuple[Segment, ...]


class Manifest:
    """A data set.

    Args:
        root: folder that paths start at.
        labels: label list; its order is that of the scores.
        segments: labelled pieces.

    Raises:
        DataError: a segment does not fit; the message names it and counts further ones.
    """

    def __init__(self, root: Path, labels: Sequence[str], segments: Iterable[Segment]) -> None:
        self.root = root
        self.labels = tuple(labels)
        self.segments = tuple(segments)
        problems = list(self._problems())
        if problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise DataError(problems[0] + more)

    def _problems(self) -> Iterable[str]:
        if len(set(self.labels)) != len(self.labels) or "" in self.labels:
            yield f"labels: {list(self.labels)} has an empty or repeated name; name each once"
        known = set(self.labels)
        for index, segment in enumerate(self.segments):
            problem = _problem(segment, known)
            if problem:
                yield f"segments[{index}] ({segment.path}): {problem}"

    def file(self, segment: Segment) -> Path:
        """Return where a segment's video is."""
        return self.root / segment.path

    def ordered(self, labels: Sequence[str]) -> Manifest:
        """Return the same data set with another label list, such as that of a model.

        Raises:
            DataError: a segment has a label that is not in it.
        """
        return Manifest(self.root, labels, self.segments)

    def of(self, split: Split) -> tuple[Segment, ...]:
        """Return the segments of a split."""
        return tuple(segment for segment in self.segments if segment.split == split)


def _problem(segment: Segment, known: set[str]) -> str:
    """Return what is wrong with a segment; empty where nothing is."""
    path = PurePosixPath(segment.path)
    end_s = math.inf if segment.end_s is None else segment.end_s
    unknown = [label for label in segment.labels if label not in known]
    if not segment.path or path.is_absolute() or ".." in path.parts or "\0" in segment.path:
        return "path must be relative and stay below the root; choose a root above all videos"
    if not (math.isfinite(segment.start_s) and segment.start_s >= 0):
        return f"start_s is {segment.start_s}; it must be 0 or more seconds"
    if not end_s > segment.start_s:
        return f"end_s is {end_s:g}, which is not after start_s={segment.start_s:g}; correct them"
    return f"label {unknown[0]!r} is not in the label list; add it or correct it" if unknown else ""


def load_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        DataError: it cannot be read or is none; the message names file, key and what is expected.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path}: is larger than 1 GiB; give a manifest, not a video")
        read = msgspec.json.decode(path.read_bytes(), type=_File)
    except OSError as err:
        raise DataError(f"{path}: {err.strerror}; give a manifest file") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as err:
        raise DataError(
            f"{path}: is no manifest: {err}; make one with `bresnet data import`"
        ) from None
    if read.format != FORMAT:
        raise DataError(f"{path}: format is {read.format!r}, this program reads {FORMAT!r}")
    try:
        return Manifest(path.parent / read.root, read.labels, read.segments)
    except DataError as err:
        raise DataError(f"{path}: {err}") from None


def save_manifest(manifest: Manifest, path: Path) -> None:
    """Write a manifest, one segment a line.

    Raises:
        DataError: the file cannot be written.
    """
    root = manifest.root.resolve()
    folder = path.parent.resolve()
    # Below the same top folder the whole may be moved; elsewhere only an absolute path can be true.
    is_near = root.is_relative_to(folder) or folder.is_relative_to(root)
    # walk_up of pathlib needs Python 3.12.
    written = Path(os.path.relpath(root, folder)) if is_near else root
    encoder = msgspec.json.Encoder()
    head = {"format": FORMAT, "root": written.as_posix(), "labels": manifest.labels}
    lines = ",\n".join(encoder.encode(segment).decode() for segment in manifest.segments)
    text = encoder.encode(head).decode().removesuffix("}") + f',"segments":[\n{lines}\n]}}\n'
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as err:
        raise DataError(f"{path}: {err.strerror}; give a file that can be written") from None

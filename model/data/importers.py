"""Data sets as they are published, turned into manifests.

In: a folder, or the lists of a data set and the folder of its videos. Out: a `Manifest`. Videos are
looked for by name and, unless ends are to be trimmed, not opened; the audit does that.
Invariant: what a list names and the folder does not hold is an error, or is counted where the user
asked to leave it out; nothing else takes its place.
"""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from model.data.manifest import Manifest, Segment, Split
from model.data.sampler import Sampling, length_s
from model.data.tablefile import Row, read_rows, read_words
from model.errors import DataError

ENDINGS: Final = frozenset(
    f".{name}"
    for name in (
        *("mp4", "mkv", "avi", "mov", "webm", "m4v", "mpg", "mpeg", "ts", "flv", "wmv", "3gp"),
        *("ogv", "264", "h264", "mjpeg"),
    )
)
_SPLITS: Final[Mapping[str, Split]] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validate", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the user may say about a data set.

    Attributes:
        root: folder of the videos; that of the source where absent.
        fold: which of the official splits (UCF101, HMDB51).
        is_skipping: leave out what the folder does not hold, and count it.
        is_trimming: let segments that end after their video end with it, and count them.
        columns: names of the file's columns by our names for them (csv).
        where: columns and the value they must have (csv).
        n_stripped: leading folders of each path that are left out (csv).
        renames: pattern and new name of labels; the first that fits counts.
    """

    root: Path | None = None
    fold: int = 1
    is_skipping: bool = False
    is_trimming: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)
    where: Mapping[str, str] = field(default_factory=dict)
    n_stripped: int = 0
    renames: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Imported:
    """A manifest, and what was changed on the way to it.

    Attributes:
        manifest: the data set.
        n_missing: listed videos that were left out because they are not there.
        n_trimmed: segments that ended after their video.
    """

    manifest: Manifest
    n_missing: int
    n_trimmed: int = 0


def import_dataset(kind: str, source: Path, options: ImportOptions = ImportOptions()) -> Imported:
    """Make a manifest.

    Args:
        kind: one of `KINDS`.
        source: the folder or list of that kind.
        options: see there.

    Raises:
        DataError: the source is not of that kind, videos are missing, or there are none.
    """
    kept: list[Segment] = []
    missing: list[str] = []
    root = options.root or (source if source.is_dir() else source.parent)
    if not root.is_dir():
        raise DataError(f"{root}: is no folder; give that of the videos (--root)")
    for segment in KINDS[kind](source, replace(options, root=root)):
        if (root / segment.path).is_file():
            kept.append(_renamed(segment, options.renames))
        else:
            missing.append(segment.path)
    if missing and not options.is_skipping:
        raise DataError(
            f"{root}: does not hold {missing[0]}, nor {len(set(missing)) - 1} other listed videos; "
            "check --root, or leave them out with --skip-missing"
        )
    if not kept:
        raise DataError(f"{source}: names no video that is there; check the kind and --root")
    labels = sorted({label for segment in kept for label in segment.labels})
    found = _trimmed(kept, root) if options.is_trimming else kept
    n_trimmed = sum(old is not new for old, new in zip(kept, found, strict=True))
    return Imported(Manifest(root, labels, found), len(set(missing)), n_trimmed)


def _trimmed(segments: Iterable[Segment], root: Path) -> list[Segment]:
    """Return the segments, those that end after their video ending with it."""
    lengths_s: dict[str, float] = {}
    found = []
    for segment in segments:
        if segment.path not in lengths_s:
            lengths_s[segment.path] = length_s(root / segment.path, Sampling())
        end_s = lengths_s[segment.path]
        is_late = segment.end_s is not None and segment.end_s > end_s
        found.append(msgspec.structs.replace(segment, end_s=end_s) if is_late else segment)
    return found


def _renamed(segment: Segment, renames: Iterable[tuple[str, str]]) -> Segment:
    def new(label: str) -> str:
        fitting = (name for pattern, name in renames if fnmatch.fnmatchcase(label, pattern))
        return next(fitting, label)

    labels = tuple(dict.fromkeys(new(label) for label in segment.labels))
    return msgspec.structs.replace(segment, labels=tuple(label for label in labels if label))


# ---- the kinds -----------------------------------------------------------------------------------


def _folder(source: Path, options: ImportOptions) -> Iterator[Segment]:
    """CLASS/clip.mp4, or SPLIT/CLASS/clip.mp4."""
    root = options.root or source
    for path in _videos(source):
        parts = path.relative_to(source).parts
        has_split = len(parts) > 2 and parts[0].lower() in _SPLITS
        if len(parts) < 2 + has_split:
            raise DataError(f"{path}: is in no class folder; put it into {source}/CLASS/")
        yield Segment(
            path=path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path),
            labels=(parts[1 if has_split else 0],),
            split=_SPLITS[parts[0].lower()] if has_split else None,
        )


def _kinetics(source: Path, options: ImportOptions) -> Iterator[Segment]:
    """label,youtube_id,time_start,time_end[,split]; clips ID_000010_000020.mp4 or whole ID.mp4."""
    by_stem = _by_stem(options.root or source.parent)
    for row in read_rows(source, ("label", "youtube_id", "time_start", "time_end")):
        name, split = row.cells["youtube_id"], row.cells.get("split", "")
        start_s, end_s = row.seconds("time_start"), row.seconds("time_end")
        if start_s is None or end_s is None:
            raise DataError(f"{row.place}: time_start or time_end is empty; write seconds")
        stem = f"{name}_{round(start_s):06d}_{round(end_s):06d}"
        whole = by_stem.get(stem)
        cut = (0.0, None) if whole or name not in by_stem else (start_s, end_s)
        yield Segment(
            path=whole or by_stem.get(name) or f"{stem}.mp4",
            labels=(row.cells["label"],),
            start_s=cut[0],
            end_s=cut[1],
            group=name,
            split=_split(split, row.place),
        )


def _ucf101(source: Path, options: ImportOptions) -> Iterator[Segment]:
    """trainlist01.txt and testlist01.txt: CLASS/v_CLASS_g08_c01.avi [number]."""
    lists: tuple[tuple[str, Split], ...] = (("trainlist", "train"), ("testlist", "test"))
    for name, split in lists:
        for words, place in read_words(source / f"{name}{options.fold:02d}.txt"):
            folder, slash, file = words[0].partition("/")
            if not slash:
                raise DataError(f"{place}: {words[0]!r} is not CLASS/VIDEO; is this UCF101?")
            group = re.search(r"_g(\d+)_", file)
            yield Segment(
                path=words[0],
                labels=(folder,),
                group=f"{folder}_g{group.group(1)}" if group else "",
                split=split,
            )


def _hmdb51(source: Path, options: ImportOptions) -> Iterator[Segment]:
    """CLASS_test_split1.txt: VIDEO 0 (unused), 1 (train) or 2 (test)."""
    ending = f"_test_split{options.fold}.txt"
    lists = sorted(source.glob(f"*{ending}"))
    if not lists:
        raise DataError(f"{source}: holds no *{ending}; give the folder of HMDB51's split files")
    roles: Mapping[str, Split | None] = {"0": None, "1": "train", "2": "test"}
    for path in lists:
        label = path.name.removesuffix(ending)
        for words, place in read_words(path):
            if len(words) != 2 or words[1] not in roles:
                raise DataError(f"{place}: is not VIDEO and 0, 1 or 2; is this HMDB51?")
            split = roles[words[1]]
            if split is not None:
                yield Segment(path=f"{label}/{words[0]}", labels=(label,), split=split)


def _activitynet(source: Path, options: ImportOptions) -> Iterator[Segment]:
    """{"database": {ID: {"subset": ..., "annotations": [{"segment": [s, e], "label": ...}]}}}."""
    by_stem = _by_stem(options.root or source.parent)
    database = _database(source)
    for name, video in database.items():
        # The published files are called v_ID, most downloads ID.
        path = by_stem.get(name) or by_stem.get(f"v_{name}") or f"{name}.mp4"
        for index, part in enumerate(video.annotations):
            place = f"{source}: database.{name}.annotations[{index}]"
            yield Segment(
                path=path,
                labels=(part.label,),
                start_s=max(part.segment[0], 0.0),
                end_s=part.segment[1],
                group=name,
                split=_split(video.subset, place),
            )


class _Annotation(msgspec.Struct):
    """One annotation of ActivityNet; further keys are allowed."""

    segment: tuple[float, float]
    label: str


class _Video(msgspec.Struct):
    """One video of ActivityNet."""

    subset: str = ""
    annotations: tuple[_Annotation, ...] = ()


class _ActivityNet(msgspec.Struct):
    """The file."""

    database: dict[str, _Video]


def _database(source: Path) -> dict[str, _Video]:
    try:
        return msgspec.json.decode(source.read_bytes(), type=_ActivityNet).database
    except OSError as err:
        raise DataError(f"{source}: {err.strerror}; give ActivityNet's JSON file") from None
    except msgspec.DecodeError as err:
        raise DataError(f"{source}: is no list of ActivityNet: {err}") from None


def _csv(source: Path, options: ImportOptions) -> Iterator[Segment]:
    """path,label[,start_s,end_s,group,split]; several labels with | between them."""

    def name(column: str) -> str:
        return options.columns.get(column, column)

    required = [name("path"), name("label"), *options.where, *options.columns.values()]
    for row in read_rows(source, required):
        if any(row.cells[column] != value for column, value in options.where.items()):
            continue
        labels = row.cells[name("label")].split("|")
        yield Segment(
            path=_stripped(row, name("path"), options.n_stripped),
            labels=tuple(dict.fromkeys(label.strip() for label in labels if label.strip())),
            start_s=row.seconds(name("start_s")) or 0.0,
            end_s=row.seconds(name("end_s")),
            group=row.cells.get(name("group"), ""),
            split=_split(row.cells.get(name("split"), ""), row.place),
        )


def _stripped(row: Row, column: str, n_stripped: int) -> str:
    parts = row.cells[column].split("/")
    if len(parts) <= n_stripped:
        raise DataError(f"{row.place}: {row.cells[column]!r} has no {n_stripped} folders to strip")
    return "/".join(parts[n_stripped:])


KINDS: Final[Mapping[str, Callable[[Path, ImportOptions], Iterator[Segment]]]] = {
    "folder": _folder,
    "kinetics": _kinetics,
    "ucf101": _ucf101,
    "hmdb51": _hmdb51,
    "activitynet": _activitynet,
    "csv": _csv,
}
"""What can be imported, each a generator of segments."""


def _split(text: str, place: str) -> Split | None:
    known = text.strip().lower()
    if known and known not in _SPLITS:
        raise DataError(f"{place}: split is {text!r}; use one of {', '.join(_SPLITS)}")
    return _SPLITS.get(known)


def _videos(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"{folder}: is no folder; give that of the classes")
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)


def _by_stem(root: Path) -> dict[str, str]:
    """Return the relative paths of the videos below a folder by their name without ending."""
    paths = _videos(root)
    twice = [stem for stem, n in Counter(path.stem for path in paths).items() if n > 1]
    if twice:
        raise DataError(f"{root}: holds several videos named {twice[0]!r}; keep one of them")
    return {path.stem: path.relative_to(root).as_posix() for path in paths}


def plain(manifest: Manifest) -> dict[str, Any]:
    """Return the counts of a manifest: segments, videos, groups, and segments by split."""
    splits = Counter(segment.split or "none" for segment in manifest.segments)
    return {
        "segments": len(manifest.segments),
        "videos": len({segment.path for segment in manifest.segments}),
        "groups": len({segment.group_or_path for segment in manifest.segments}),
        "labels": len(manifest.labels),
        "splits": dict(splits),
    }

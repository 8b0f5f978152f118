"""`bresnet data ...`: bring a data set of one's own, check it, divide it.

In: what the operator typed. Out: a manifest file, or what is wrong with one as a table or JSON.
Nothing heavy is imported before a command needs it.
Invariant: `check` changes nothing; `import` and `split` write the file that is named, and that only
when all is well.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.arguments import CONTEXT, SECONDS, YAML_FILE

if TYPE_CHECKING:
    from model.data.audit import Audit

KINDS = ("folder", "csv", "kinetics", "ucf101", "hmdb51", "activitynet")
SPLITS = ("train", "validation", "test")
_MAX_SHOWN = 50


def _pair(text: str) -> tuple[str, str]:
    """NAME=VALUE at its first equals sign."""
    name, sign, value = text.partition("=")
    if not (sign and name):
        raise click.BadParameter(f"{text!r} is not NAME=VALUE.")
    return name, value


def _rename(text: str) -> tuple[str, str]:
    """PATTERN=LABEL at its last equals sign: patterns may hold one."""
    pattern, sign, label = text.rpartition("=")
    if not (sign and pattern):
        raise click.BadParameter(f"{text!r} is not PATTERN=LABEL.")
    return pattern, label


def _share(text: str) -> tuple[str, float]:
    name, value = _pair(text)
    if name not in SPLITS:
        raise click.BadParameter(f"{name!r} is none of {', '.join(SPLITS)}.")
    try:
        share = float(value)
    except ValueError:
        share = math.nan
    if not 0 <= share < math.inf:
        raise click.BadParameter(f"{value!r} is not a share such as 0.7.")
    return name, share


def _fixed(text: str) -> tuple[str, str]:
    group, split = _rename(text)
    if split not in SPLITS:
        raise click.BadParameter(f"{split!r} is none of {', '.join(SPLITS)}.")
    return group, split


@click.group(context_settings=CONTEXT)
def data() -> None:
    """Bring a data set of your own, check it, divide it."""


@data.command("import")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("source", type=YAML_FILE)
@click.option("--out", type=YAML_FILE, required=True, help="Manifest file to write.")
@click.option("--root", type=YAML_FILE, help="Folder of the videos; that of SOURCE where absent.")
@click.option(
    "--fold",
    type=click.IntRange(1, 99),
    default=1,
    show_default=True,
    help="Which official split (ucf101, hmdb51).",
)
@click.option("--skip-missing", is_flag=True, help="Leave out listed videos that are not there.")
@click.option("--trim", is_flag=True, help="End segments with their video where they are longer.")
@click.option(
    "--column",
    "columns",
    type=_pair,
    metavar="OURS=THEIRS",
    multiple=True,
    help="Our column name = the file's, such as group=subject (csv).",
)
@click.option(
    "--where",
    type=_pair,
    metavar="COLUMN=VALUE",
    multiple=True,
    help="Take rows with this value, such as present=1 (csv).",
)
@click.option(
    "--strip", type=click.IntRange(0, 32), default=0, help="Leading folders to cut off paths (csv)."
)
@click.option(
    "--label",
    "labels",
    type=_rename,
    metavar="PATTERN=LABEL",
    multiple=True,
    help="Pattern = new label, such as 'Fall*=fall'; the first that fits counts.",
)
def data_import(kind: str, source: Path, out: Path, **options: Any) -> None:
    """Make a manifest from a data set as it is published.

    folder: CLASS/clip.mp4 or SPLIT/CLASS/clip.mp4. csv: path,label[,start_s,end_s,group,split].
    kinetics: its CSV. ucf101, hmdb51: the folder of split files. activitynet: its JSON.
    """
    from model.data.importers import ImportOptions, import_dataset, plain
    from model.data.manifest import save_manifest

    found = import_dataset(
        kind,
        source,
        ImportOptions(
            root=options["root"],
            fold=options["fold"],
            is_skipping=options["skip_missing"],
            is_trimming=options["trim"],
            columns=dict(options["columns"]),
            where=dict(options["where"]),
            n_stripped=options["strip"],
            renames=tuple(options["labels"]),
        ),
    )
    save_manifest(found.manifest, out)
    if found.n_missing:
        click.echo(f"left out: {found.n_missing} listed videos that are not there", err=True)
    if found.n_trimmed:
        click.echo(f"trimmed: {found.n_trimmed} segments that end after their video", err=True)
    click.echo(_described(out, plain(found.manifest)))


@data.command("split")
@click.argument("manifest", type=YAML_FILE)
@click.option("--out", type=YAML_FILE, required=True, help="Manifest file to write.")
@click.option(
    "--share",
    "shares",
    type=_share,
    metavar="SPLIT=SHARE",
    multiple=True,
    default=("train=0.7", "validation=0.15", "test=0.15"),
    show_default=True,
    help="Share of the segments of a split.",
)
@click.option(
    "--fix",
    "fixed",
    type=_fixed,
    metavar="GROUP=SPLIT",
    multiple=True,
    help="Put a group into a split, such as subject4=test.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the choice.")
def data_split(
    manifest: Path,
    out: Path,
    shares: tuple[tuple[str, float], ...],
    fixed: tuple[tuple[str, Any], ...],
    seed: int,
) -> None:
    """Divide the segments of MANIFEST so that no group (person, place) is on two sides."""
    from model.data.division import divide
    from model.data.importers import plain
    from model.data.manifest import load_manifest, save_manifest

    wanted: dict[Any, float] = dict(shares)
    if not sum(wanted.values()):
        raise click.UsageError("--share: at least one share must be positive")
    divided = divide(load_manifest(manifest), wanted, seed, dict(fixed))
    save_manifest(divided, out)
    click.echo(_described(out, plain(divided)))


@data.command("check")
@click.argument("manifest", type=YAML_FILE)
@click.option("--json", "is_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--fps",
    type=click.FloatRange(0.1, 120),
    default=10.0,
    show_default=True,
    help="Frames a second the model will see.",
)
@click.option(
    "--window", type=SECONDS, default=3.2, show_default=True, help="Length of its window, seconds."
)
def data_check(manifest: Path, is_json: bool, fps: float, window: float) -> None:
    """Decode every video of MANIFEST and say what is wrong; exit code 1 if there are errors.

    Looks for damage, missing videos, segments outside of them, groups and copies in two splits,
    lengths, rates and class balance.
    """
    from model.data.audit import Demand, audit
    from model.data.manifest import load_manifest

    found = audit(load_manifest(manifest), Demand(fps, window), _tell)
    if is_json:
        click.echo(json.dumps(found.plain(), indent=2, ensure_ascii=False))
    else:
        _print(found)
    click.get_current_context().exit(int(found.n_errors > 0))


def _tell(n_done: int, n_videos: int) -> None:
    """Count on a terminal; a file or pipe gets the result alone."""
    if sys.stderr.isatty():
        click.echo(f"\rdecoded {n_done} of {n_videos}", err=True, nl=n_done == n_videos)


def _described(path: Path, counts: dict[str, Any]) -> str:
    from pipeline.log import escape

    splits = ", ".join(f"{name} {n}" for name, n in sorted(counts["splits"].items()))
    return escape(
        f"{path}: {counts['segments']} segments of {counts['videos']} videos in {counts['groups']} "
        f"groups, {counts['labels']} labels; splits: {splits}"
    )


def _print(found: Audit) -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = 160  # a pipe has no width of its own: do not fold the table
    splits = sorted({split for counts in found.balance().values() for split in counts})
    rows = (
        (label, *(str(counts.get(split, 0)) for split in splits))
        for label, counts in found.balance().items()
    )
    console.print(_table("Segments by label", ("label", *splits), rows))
    rates = sorted({f"{facts.fps:.4g}" for facts in found.videos.values() if facts.n_frames})
    lengths = ", ".join(f"{name} {value:g}" for name, value in found.lengths_s().items())
    console.print(f"Lengths of segments (s): {lengths or 'none'}", highlight=False)
    console.print(f"Pictures a second: {', '.join(rates[:12]) or 'none'}", highlight=False)
    shown = found.findings[:_MAX_SHOWN]
    if shown:
        lines = ((f.severity, f.code, f.subject, f.text) for f in shown)
        console.print(_table("Findings", ("", "kind", "about", "what"), lines))
    n_more = len(found.findings) - len(shown)
    n_warnings = len(found.findings) - found.n_errors
    more = f" ({n_more} more with --json)" if n_more else ""
    console.print(f"{found.n_errors} errors, {n_warnings} warnings{more}", highlight=False)


def _table(title: str, headings: Iterable[str], rows: Iterable[Iterable[str]]) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from pipeline.log import escape

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        # Names come from files: text, never markup.
        table.add_row(*(Text(escape(cell)) for cell in row))
    return table

"""`bresnet evaluate`, `calibrate` and `tune`: how good a bundle is, and its last adjustments.

In: what the operator typed. Out: a report on stdout, its files in a folder, what goes on meanwhile
on stderr, and for `calibrate` and `tune` the changed bundle. Nothing heavy is imported before a
command needs it.
Invariant: that a result cannot be written is found out before anything is computed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from pipeline.arguments import CONTEXT, DEMO_SOURCES, SECONDS, YAML_FILE, assemble
from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from model.data.manifest import Split
    from pipeline.cases import Use
    from pipeline.config import PipelineConfig
    from pipeline.exam import Plan

Command = Callable[..., None]

BUNDLE = click.argument("bundle", metavar="BUNDLE")
TRUTH = click.option(
    "--truth",
    "truths",
    type=YAML_FILE,
    multiple=True,
    help="Truth file of a video (JSON), or a folder of them; may be given several times.",
)
SCENE = click.option(
    "--scene", "scenes", multiple=True, help="Named scene, as in synthetic:NAME; several times."
)
SCENE_SECONDS = click.option(
    "--scene-seconds", "scene_s", type=SECONDS, default=120.0, show_default=True, help="Of each."
)
SEED = click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of what is rendered."
)
CONFIG = click.option(
    "--config", "file", type=YAML_FILE, help="Settings as for `run`; its cameras are not used."
)
ENGINE = click.option(
    "--engine", type=click.Choice(["tensorflow", "openvino"]), help="Runtime of the network."
)
PRECISION = click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16", "int8"]),
    help="Precision of the engine.",
)
TO = click.option("--to", type=YAML_FILE, help="Write the changed bundle here, not in place.")


DATASET = click.option(
    "--dataset", type=YAML_FILE, help="Manifest of trimmed clips of your own (`bresnet data`)."
)
SPLIT = click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    help="Part of the data set; where absent, what it keeps for this (evaluate: test, calibrate:"
    " validation), or all of it where it keeps nothing.",
)
KEPT: Final[dict[str, Split]] = {"test": "test", "calibrate": "validation"}
"""Part of a data set by use: what a bundle has learned from says nothing about it."""


class _Rendered(click.IntRange):
    """How much is rendered; without the option, nothing for a bundle with labels of its own."""

    def __init__(self, usual: int) -> None:
        super().__init__(0)
        self.usual = usual


def _number(name: str, default: int, text: str) -> Callable[[Command], Command]:
    return click.option(
        name,
        type=_Rendered(default),
        show_default=f"{default}; 0 where BUNDLE has labels of its own",
        help=text,
    )


def _out(default: str) -> Callable[[Command], Command]:
    return click.option(
        "--out",
        type=YAML_FILE,
        default=default,
        show_default=True,
        help="Folder of the report: JSON, Markdown, PNG.",
    )


def _shared(command: Command) -> Command:
    for option in (PRECISION, ENGINE, CONFIG, SEED, BUNDLE):
        command = option(command)
    return command


def _replays(n_objects: int, minutes: int) -> Callable[[Command], Command]:
    """Add what is replayed for figures of events."""

    def add(command: Command) -> Command:
        more = (
            _number("--nuisance-minutes", minutes, "Rendered minutes in which nothing moves."),
            _number("--objects", n_objects, "Rendered clips of 15 s with moving objects."),
            SCENE_SECONDS,
            SCENE,
            TRUTH,
        )
        for option in more:
            command = option(command)
        return command

    return add


@click.command(context_settings=CONTEXT)
@_shared
@_replays(n_objects=100, minutes=30)
@DATASET
@SPLIT
@click.option(
    "--views",
    type=click.Choice(["1x1", "10x1", "10x3"]),
    default="1x1",
    show_default=True,
    help="Views of each clip of the data set: times x cut-outs; scores are averaged.",
)
@_number("--windows", 4000, "Windows of rendered clips with looks that training never has.")
@_out("evaluation")
@click.option("--record", is_flag=True, help="Put the main figures into the bundle.")
def evaluate(bundle: str, out: Path, *, record: bool, **options: Any) -> None:
    """Say how good BUNDLE is: on windows, and on events by replay through the production path.

    Without options: rendered clips only. Your own: --truth for videos, --dataset for clips.
    """
    _require_libraries()
    config, plan = _settings(bundle, options), _plan(bundle, options, "test")
    if not (plan.is_replayed or plan.n_windows or plan.dataset):
        raise ConfigError("there is nothing to evaluate on; give --truth or --dataset")
    from pipeline.adjustment import place_of, save

    place = place_of(bundle, None) if record else None
    from model.evaluation.report import markdown, plain, prepare_folder, write_json, write_text
    from pipeline.exam import examination, headline

    prepare_folder(out)
    with examination(config, plan, _tell) as exam:
        report = exam.report(plan, out)
        if place is not None:
            metrics = dict(exam.bundle.manifest.metrics) | {"evaluation": plain(headline(report))}
            save(exam.bundle.with_facts(metrics=metrics), place)
    write_json(report, out / "evaluation.json")
    text = markdown(report)
    write_text(text, out / "evaluation.md")
    click.echo(text, nl=False)


@click.command(context_settings=CONTEXT)
@_shared
@DATASET
@SPLIT
@_number("--windows", 4000, "Windows of rendered clips to fit on, where no data set is given.")
@TO
@_out("calibration")
def calibrate(bundle: str, out: Path, to: Path | None, **options: Any) -> None:
    """Make the scores of BUNDLE mean what they say; its thresholds must be tuned anew then."""
    _require_libraries()
    config, plan = _settings(bundle, options), _plan(bundle, options, "calibrate")
    if not (plan.n_windows or plan.dataset):
        raise ConfigError("there is nothing to calibrate on; give --dataset, or --windows above 0")
    from model.evaluation.plot import plot_reliability
    from model.evaluation.report import number, prepare_folder, write_json
    from pipeline.adjustment import calibrated, place_of, save
    from pipeline.exam import examination

    place = place_of(bundle, to)
    prepare_folder(out)
    with examination(config, plan, _tell) as exam:
        windows = exam.dataset(plan.dataset) if plan.dataset else exam.rendered(plan)
        changed, report, curves = calibrated(exam.bundle, windows)
    save(changed, place)
    write_json(report, out / "calibration.json")
    plot_reliability(curves, out / "reliability.png")
    for name in ("before", "after"):
        figures = (f"{key} {number(report[name][key])}" for key in ("mean_ece", "mean_nll"))
        click.echo(f"{name}: {', '.join(figures)}")
    click.echo(f"written to {place}; tune its thresholds next (bresnet tune)")


@click.command(context_settings=CONTEXT)
@_shared
@_replays(n_objects=100, minutes=30)
@click.option(
    "--max-fa-per-hour",
    type=click.FloatRange(0, 3600),
    default=1.0,
    show_default=True,
    help="Budget: false alarms an hour in which nothing moves, all labels together.",
)
@TO
@_out("tuning")
def tune(bundle: str, out: Path, to: Path | None, max_fa_per_hour: float, **options: Any) -> None:
    """Choose thresholds, hysteresis, minimum duration and smoothing of BUNDLE's labels."""
    _require_libraries()
    config, plan = _settings(bundle, options), _plan(bundle, options, "tune")
    if not plan.is_replayed:
        raise ConfigError("there is nothing to tune on; give --truth, --scene or --objects")
    from model.evaluation.report import number, prepare_folder, table, write_json, write_text
    from pipeline.adjustment import place_of, save, tuned
    from pipeline.exam import examination
    from pipeline.tuner import tune as choose

    place = place_of(bundle, to)
    prepare_folder(out)
    with examination(config, plan, _tell) as exam:
        outcome = choose(exam.videos(plan), exam.words, exam.limits, max_fa_per_hour, _tell)
        changed, report = tuned(exam.bundle, outcome, max_fa_per_hour)
    save(changed, place)
    write_json(report, out / "tuning.json")
    rows = [
        [label, *(number(value) for value in limits.values())]
        for label, limits in report["thresholds"].items()
    ]
    verdict = "within" if outcome.is_met else "NOT within (no setting keeps to it)"
    text = "\n".join(
        [
            table(["label", "on", "off", "min duration, s", "smoothing, s"], rows),
            f"{number(outcome.false_per_hour)} false alarms an hour, {verdict} the budget of"
            f" {max_fa_per_hour:g}; {number(outcome.hours, 2)} hours allow up to"
            f" {number(outcome.false_per_hour_limit)} (95 %). Recall {number(outcome.recall)},"
            f" median delay {number(outcome.delay_p50_s)} s.\n",
        ]
    )
    write_text(text, out / "tuning.md")
    click.echo(text, nl=False)
    if outcome.untuned:
        click.echo(f"too few events to tune: {', '.join(outcome.untuned)}", err=True)
    click.echo(f"written to {place}")


def _settings(bundle: str, options: dict[str, Any]) -> PipelineConfig:
    """Return the settings of a run with this bundle, and take their options out."""
    file = options.pop("file")
    chosen = {name: options.pop(name) for name in ("engine", "precision")}
    config = assemble(() if file else DEMO_SOURCES, file, chosen)
    model = config.model.model_copy(update={"bundle": bundle})
    return config.model_copy(update={"model": model})


def _kept(path: Path, wanted: Split) -> Split | None:
    """Return the part of a data set that is kept for a use, and tell; None where none is."""
    from model.data.manifest import load_manifest

    if not any(segment.split == wanted for segment in load_manifest(path).segments):
        return None
    _tell(f"{path}: taking its split {wanted}; --split takes another")
    return wanted


def _plan(bundle: str, options: dict[str, Any], use: Use) -> Plan:
    from model.bundle import load_manifest
    from model.labels import LABELS
    from pipeline.exam import Plan
    from pipeline.windows import DatasetChoice

    path, split = options.pop("dataset", None), options.pop("split", None)
    times, crops = options.pop("views", "1x1").split("x")
    split = split or (_kept(path, KEPT[use]) if path else None)
    choice = DatasetChoice(path, split, (int(times), int(crops))) if path else None
    kinds = {str(p.name): p.type for p in click.get_current_context().command.params}
    unset = {
        name: kind.usual
        for name, kind in kinds.items()
        if isinstance(kind, _Rendered) and options[name] is None
    }
    is_rendered = not unset or load_manifest(bundle).labels == LABELS
    options |= {name: usual if is_rendered else 0 for name, usual in unset.items()}
    names = {"windows": "n_windows", "objects": "n_objects"}
    chosen = {names.get(key, key): value for key, value in options.items()}
    return Plan(**chosen, use=use, dataset=choice)


def _require_libraries() -> None:
    """Refuse early where the extra is not installed."""
    for name in ("sklearn", "scipy", "matplotlib"):
        if importlib.util.find_spec(name) is None:
            raise ConfigError(
                f"the library {name} is not installed; pip install 'bresnet-stream[train]'"
            )


def _tell(text: str) -> None:
    click.echo(text, err=True)

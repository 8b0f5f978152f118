"""Claims about the repository itself: sizes, mirror, configs, README, metrics, forbidden code.

They read the tree and start short subprocesses; nothing here looks at behaviour. What a linter can
see is left to `make check`; these are the rules it has no rule for.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import click
import pytest
import yaml

from pipeline.cli import main
from pipeline.configfile import check_config, schema
from pipeline.family import COUNTERS, FAMILIES, GAUGES, HISTOGRAMS, INFOS, STATESET
from pipeline.report import CameraState
from tests.conftest import COMPUTED, REPOSITORY

ROOMS = ("streamer", "model", "pipeline")
SOURCES = sorted(path for room in ROOMS for path in (REPOSITORY / room).rglob("*.py"))
TESTS = sorted((REPOSITORY / "tests").rglob("*.py"))
CONFIGS = sorted((REPOSITORY / "configs").glob("*.yaml"))
MAX_LINES = 400

# Seconds and hundreds of megabytes: only the process that needs one of these may pay for it.
HEAVY = ("tensorflow", "keras", "openvino", "av", "cv2", "aiortc", "numpy", "fastapi", "uvicorn")
NOT_IN_CONTROL = ("tensorflow", "keras", "openvino", "av", "cv2", "aiortc")


def relative(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def has_code(path: Path) -> bool:
    """Whether a file holds a function with a body: declarations alone have nothing to test."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse(path.read_text())
    bodies = [node.body for node in ast.walk(tree) if isinstance(node, functions)]
    return any(not isinstance(line, ast.Expr) for body in bodies for line in body)


# ---- shape of the tree -----------------------------------------------------------------------


def test_files_stay_readable() -> None:
    """No file has more than 400 lines: a longer one hides a noun of its own."""
    lengths = {relative(path): path.read_text().count("\n") for path in (*SOURCES, *TESTS)}
    assert {name: n for name, n in lengths.items() if n > MAX_LINES} == {}


def test_each_source_file_has_its_test_file() -> None:
    """tests/ mirrors the rooms; only files that merely declare need none."""
    missing = []
    for path in SOURCES:
        inside = path.relative_to(REPOSITORY)
        own = REPOSITORY / "tests" / inside.parent / f"test_{path.stem}.py"
        package = REPOSITORY / "tests" / inside.parent / "test_package.py"
        is_tested = package.exists() if path.stem == "__init__" else own.exists()
        if has_code(path) and not is_tested:
            missing.append(relative(path))
    assert not missing, f"no test file for {missing}"


def test_each_source_file_says_what_it_is() -> None:
    """A module opens with a docstring of 3 to 12 lines; a package's may be shorter."""
    wrong = {}
    for path in SOURCES:
        lines = (ast.get_docstring(ast.parse(path.read_text())) or "").splitlines()
        least = 1 if path.stem.startswith("__") else 3
        if not least <= len(lines) <= 12:
            wrong[relative(path)] = len(lines)
    assert not wrong, f"lines of the module docstring: {wrong}"


# ---- what no file may do ---------------------------------------------------------------------


def called(node: ast.Call) -> str:
    """The dotted name that is called, such as "av.open"."""
    return ast.unparse(node.func)


def offences(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Name, with its line, each thing a source file may not do."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from _bad_imports(node)
        elif isinstance(node, ast.Call):
            yield from _bad_calls(node)


def _bad_imports(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[int, str]]:
    origin = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
    for name in origin + [alias.name for alias in node.names]:
        if name.split(".")[0] in {"pickle", "marshal", "shelve", "dill", "multiprocessing"}:
            yield node.lineno, f"import of {name}"


def _bad_calls(node: ast.Call) -> Iterator[tuple[int, str]]:
    name = called(node)
    keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    if name in {"eval", "exec", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load"}:
        yield node.lineno, f"call of {name}"
    if name.endswith(("VideoCapture", "av.logging.set_level", "MediaPlayer")):
        yield node.lineno, f"call of {name}"
    if name == "av.open" and keywords.get("timeout", "None") == "None":
        yield node.lineno, "av.open without timeout=(open, read)"
    if keywords.get("shell", "False") != "False":
        yield node.lineno, f"{name} with a shell"
    if keywords.get("allow_pickle", "False") != "False" or keywords.get("safe_mode") == "False":
        yield node.lineno, f"{name} that runs what a file says"


def test_source_files_do_nothing_dangerous() -> None:
    """No unpickling, no eval, no shell, no capture without a time-out, no PyAV log level."""
    found = {relative(path): list(offences(ast.parse(path.read_text()))) for path in SOURCES}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads",
        "import os; os.system('x')",
        "yaml.load(text)",
        "eval(text)",
        "subprocess.run('x', shell=True)",
        "av.open(url)",
        "av.open(url, timeout=None)",
        "av.logging.set_level(1)",
        "cv2.VideoCapture(0)",
        "numpy.load(path, allow_pickle=True)",
        "keras.models.load_model(path, safe_mode=False)",
    ],
)
def test_the_check_of_dangerous_things_sees(line: str) -> None:
    """Each dangerous thing is found when it is there."""
    assert list(offences(ast.parse(line)))


def tracked_files() -> list[Path]:
    """What git knows or would add."""
    if shutil.which("git") is None or not (REPOSITORY / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return [path for name in done.stdout.splitlines() if (path := REPOSITORY / name).is_file()]


def test_no_machine_and_no_registry_is_named() -> None:
    """Tracked files hold neither paths of a machine nor the hosts of package registries."""
    # In two halves each, so that this file does not name them either.
    hosts = ("pypi" + r"\.org", "pythonhosted" + r"\.org", "npmjs" + r"\.", "deb\\.deb" + "ian")
    paths = ("/wo" + "rk/", "/ro" + "ot/", "/ho" + r"me/\w")
    forbidden = re.compile("|".join((*hosts, *paths)))
    found = []
    for path in tracked_files():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        found += [f"{relative(path)}: {match.group()}" for match in forbidden.finditer(text)]
    assert not found


def test_each_dependency_is_pinned_once() -> None:
    """constraints.txt pins every dependency of pyproject.toml exactly, and each name once."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        wanted += extra
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.!+-]+", pin) for pin in pins), pins
    names = [_normal(pin.split("==")[0]) for pin in pins]
    assert len(names) == len(set(names))
    assert {_normal(re.split(r"[<>=!~;\[ ]", name)[0]) for name in wanted} <= set(names)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


# ---- imports stay light ----------------------------------------------------------------------


def loaded_by(code: str, names: tuple[str, ...]) -> list[str]:
    """Which of the modules `names` a fresh interpreter has loaded after `code`."""
    report = f"import sys\nprint('loaded', *[n for n in {names!r} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()[1:]


@pytest.mark.parametrize("room", ROOMS)
def test_importing_a_package_is_light(room: str) -> None:
    """`import streamer`, `model` or `pipeline` loads no heavy library and prints nothing."""
    assert loaded_by(f"import {room}", HEAVY) == []


def test_help_is_light() -> None:
    """`bresnet --help` names every command without loading what the commands need."""
    code = "from pipeline.cli import main; main(['--help'], standalone_mode=False)"
    assert loaded_by(code, (*HEAVY, "pydantic", "rich", "structlog")) == []


def test_the_control_process_is_free_of_tensorflow_and_libav() -> None:
    """What `bresnet run` imports holds no decoder and no engine: they live in the children.

    TensorFlow and then aiortc in one process is a segmentation fault, so the web server's process
    must never load it.
    """
    assert loaded_by("import pipeline.runner, pipeline.app, pipeline.web.app", NOT_IN_CONTROL) == []


# ---- configs, README, metrics ----------------------------------------------------------------


@pytest.mark.parametrize("path", CONFIGS, ids=relative)
def test_a_shipped_configuration_is_good(path: Path) -> None:
    """Each configs/*.yaml passes `bresnet config check` with made-up values for its variables."""
    names = re.findall(r"\$\{(\w+)", path.read_text())
    assert check_config(path, dict.fromkeys(names, "made-up")) == ()


def test_there_are_configurations_for_the_common_cases() -> None:
    """demo, webcam, rtsp, files and many cameras have a file each."""
    names = {path.stem for path in CONFIGS}
    assert names >= {"demo", "webcam", "rtsp", "files", "many-cameras"}


def test_the_schema_is_up_to_date() -> None:
    """configs/schema.json is what `bresnet config schema` prints."""
    assert (REPOSITORY / "configs" / "schema.json").read_text() == schema()


def commands_in(text: str) -> list[list[str]]:
    """The words of every `bresnet ...` line or code span of a Markdown text."""
    spans = re.findall(r"^\s*(?:\$ )?(bresnet [^\n#|>]*)", text, flags=re.MULTILINE)
    spans += re.findall(r"`(bresnet [^`]*)`", text)
    return [span.split()[1:] for span in spans]


def complaint_about(words: list[str]) -> str | None:
    """Say which word of a documented command the product does not know."""
    command: click.Command = main
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return f"no command {words[0]!r}"
        command, words = command.commands[words[0]], words[1:]
    if isinstance(command, click.Group) and not words:
        return None
    options = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
    options |= {"-h", "--help"}
    for word in words:
        if word.startswith("-") and word.split("=")[0] not in options:
            return f"no option {word!r}"
    return None


def test_readme_commands_exist() -> None:
    """Every `bresnet ...` and `make ...` that the README shows is a command with these options."""
    text = (REPOSITORY / "README.md").read_text()
    documented = commands_in(text)
    assert len(documented) > 5
    wrong = {" ".join(words): why for words in documented if (why := complaint_about(words))}
    assert not wrong
    rules = (REPOSITORY / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", rules, flags=re.MULTILINE))
    assert set(re.findall(r"(?:`|\$ |=\d+ )make ([a-z]+)", text)) <= targets


def test_the_check_of_readme_commands_sees() -> None:
    """A command or option that does not exist is found."""
    found = commands_in("$ bresnet fly now\n`bresnet run --wings`\n`bresnet config mend x`")
    assert [complaint_about(words) for words in found] == [
        "no command 'fly'",
        "no option '--wings'",
        "no command 'mend'",
    ]


def series_names() -> set[str]:
    """Every series name the product exports."""
    names = {family.name for family in (*GAUGES, STATESET)}
    names |= {f"{family.name}_total" for family in COUNTERS}
    names |= {f"{family.name}_info" for family in INFOS}
    for family in HISTOGRAMS:
        names |= {f"{family.name}_{part}" for part in ("bucket", "sum", "count")}
    return names


def expressions() -> Iterator[str]:
    """The expressions of rules.yml."""
    rules: Any = yaml.safe_load((REPOSITORY / "configs/prometheus/rules.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            yield rule["expr"]


def test_rules_use_metrics_that_exist() -> None:
    """Each metric of rules.yml is one the product exports, or a rule recorded there."""
    used = {name for text in expressions() for name in re.findall(r"\bbresnet_\w+", text)}
    assert used
    assert used - series_names() == set()


def test_rules_compare_labels_with_values_that_exist() -> None:
    """A label value in a rule is one its family can have."""
    labels = {family.name: family.labels for family in FAMILIES}
    states = {STATESET.name: get_args(CameraState)}
    for text in expressions():
        for name, inside in re.findall(r"\b(bresnet_\w+)\{([^}]*)\}", text):
            family = re.sub(r"_(total|bucket|sum|count|info)$", "", name)
            known = {**labels[family], **states, "le": ()}
            for label, values in re.findall(r"(\w+)[!=~]+\"([^\"]*)\"", inside):
                allowed = known[label]
                assert not allowed or set(values.split("|")) <= set(allowed), f"{name}{{{inside}}}"


def test_alerts_lead_to_a_page_of_the_readme() -> None:
    """Each runbook_url is a heading of the README that names the alert."""
    rules: Any = yaml.safe_load((REPOSITORY / "configs/prometheus/rules.yml").read_text())
    text = (REPOSITORY / "README.md").read_text()
    headings = {f"README.md#{h.lower()}" for h in re.findall(r"^#+ (\w+)$", text, re.MULTILINE)}
    for group in rules["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                assert rule["annotations"]["runbook_url"] in headings
                assert f"`{rule['alert']}`" in text


def test_make_test_runs_every_test_file() -> None:
    """It names no file and leaves none out; what runs beside the clocks is there under its name."""
    listed = subprocess.run(
        ["make", "-n", "test"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "pytest" in listed
    limits = ("tests", "--ignore", "--deselect", "-k")
    assert not [word for word in listed if word.startswith(limits)]
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    assert project["tool"]["pytest"]["ini_options"]["testpaths"] == ["tests"]
    assert not [part for part in COMPUTED if not (REPOSITORY / part).exists()]

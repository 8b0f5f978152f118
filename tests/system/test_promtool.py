"""Claims about configs/prometheus, judged by Prometheus' own tool and our own registry."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.metrics import Metrics
from streamer.clock import SystemClock
from tests.conftest import REPOSITORY, require_tool

FOLDER = REPOSITORY / "configs" / "prometheus"
RULES: dict[str, Any] = yaml.safe_load((FOLDER / "rules.yml").read_text())
ALERTS = [rule["alert"] for group in RULES["groups"] for rule in group["rules"] if "alert" in rule]


@pytest.fixture(scope="module")
def promtool() -> str:
    return require_tool("promtool")


def run(promtool: str, *arguments: str | Path, stdin: bytes = b"") -> tuple[int, str]:
    """Return promtool's exit code and what it said."""
    done = subprocess.run(
        [promtool, *map(str, arguments)],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=50,
        check=False,
    )
    return done.returncode, done.stdout.decode()


def test_prometheus_accepts_the_configuration(promtool: str) -> None:
    """prometheus.yml and the rules it names load."""
    code, said = run(promtool, "check", "config", FOLDER / "prometheus.yml")
    assert code == 0, said


def test_alerts_fire_when_they_should(promtool: str) -> None:
    """Every scenario of rules_test.yml ends with exactly the alerts it names."""
    code, said = run(promtool, "test", "rules", FOLDER / "rules_test.yml")
    assert code == 0, said


@pytest.mark.parametrize("expression", ["vector(0) > 1", "vector(1)"], ids=["mute", "stuck"])
def test_a_broken_alert_is_noticed(promtool: str, tmp_path: Path, expression: str) -> None:
    """For each alert there is a scenario in which it fires and one in which it does not."""
    rules = yaml.safe_load((FOLDER / "rules.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                rule.update(expr=expression, labels={"severity": "broken"})
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    shutil.copy(FOLDER / "rules_test.yml", tmp_path)
    code, said = run(promtool, "test", "rules", tmp_path / "rules_test.yml")
    assert code != 0
    assert set(re.findall(r"alertname: (\w+)", said)) == set(ALERTS)


def test_prometheus_likes_our_metric_names(promtool: str) -> None:
    """The exposition of a pipeline with a camera passes `promtool check metrics` without a word."""
    metrics = Metrics(SystemClock())
    metrics.add_camera("door", "rtsp")
    metrics.add_sink("log")
    text, _ = metrics.exposition(is_openmetrics=False)
    code, said = run(promtool, "check", "metrics", stdin=text)
    assert (code, said) == (0, "")

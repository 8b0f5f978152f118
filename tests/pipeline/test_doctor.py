"""Claims about pipeline.doctor: findings are true, a broken library is a finding, nothing leaks."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from pipeline import doctor
from pipeline.doctor import Check


def only(checks: Iterable[Check]) -> Check:
    (check,) = checks
    return check


def test_the_control_process_stays_free_of_heavy_libraries() -> None:
    """Importing the doctor loads neither TensorFlow nor libav."""
    code = (
        "import sys, pipeline.doctor;"
        "assert not {'tensorflow', 'keras', 'av', 'cv2', 'aiortc'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_a_child_answers_with_what_it_found() -> None:
    """Its last line counts: libraries like to greet first."""
    assert doctor.try_in_child("print('hello'); print('{\"a\": 1}')") == {"a": 1}


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "crashed with signal 4"),
        ("raise SystemExit(3)", "exit status 3"),
        ("pass", "exit status 0"),
    ],
)
def test_a_child_that_fails_is_a_sentence(code: str, told: str) -> None:
    """An exception, an illegal instruction, silence."""
    assert doctor.try_in_child(code) == told


def test_a_child_that_hangs_is_killed() -> None:
    """Within its time limit."""
    started = time.monotonic()
    assert doctor.try_in_child("import time; time.sleep(60)", 0.5) == "no answer within 0 s"
    assert time.monotonic() - started < 10


def test_a_child_gets_no_secret_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a library needs is passed on."""
    monkeypatch.setenv("CAMERA_PASSWORD", "geheim99")
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    assert "geheim99" not in str(doctor.try_in_child(code))


def test_a_taken_port_is_told_with_the_remedy() -> None:
    """And a free one is free."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        check = only(doctor.check_port(port))
        assert (check.verdict, check.name) == ("warn", f"port {port}")
        assert "http.port" in check.hint
    assert only(doctor.check_port(port)).verdict == "ok"


def test_webcams_are_listed_and_their_absence_is_no_failure(tmp_path: Path) -> None:
    """Most machines have none."""
    assert only(doctor.check_webcams(tmp_path)).verdict == "warn"
    (tmp_path / "video0").touch()
    (tmp_path / "video10").touch()
    (tmp_path / "videodev").touch()
    names = [check.name for check in doctor.check_webcams(tmp_path)]
    assert names == ["webcam video0", "webcam video10"]


def test_cpu_features_come_from_the_system(tmp_path: Path) -> None:
    """Known ones in a fixed order; an unknown system is no failure."""
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor : 0\nmodel name : Test 9000\nflags : fpu avx512_bf16 avx2\n\nx")
    model, features = doctor.check_cpu(cpuinfo)
    assert model.value.startswith("Test 9000, ")
    assert (features.value, features.verdict) == ("avx2 avx512_bf16", "ok")
    cpuinfo.write_text("model name : Old\nflags : fpu sse2\n")
    assert [check.verdict for check in doctor.check_cpu(cpuinfo)][1] == "warn"
    assert [check.verdict for check in doctor.check_cpu(tmp_path / "absent")][1] == "ok"


def test_missing_shared_memory_is_told(tmp_path: Path) -> None:
    """A folder that is not there is a limit, not the end."""
    assert only(doctor.check_shared_memory(tmp_path / "absent")).verdict == "warn"
    assert "MiB free" in only(doctor.check_shared_memory(tmp_path)).value


def test_versions_name_python_and_every_library() -> None:
    """From the package metadata."""
    found = {check.name: check for check in doctor.check_versions()}
    assert {"python", "numpy", "av", "tensorflow", "keras"} <= set(found)
    assert found["numpy"].verdict == "ok"


def test_the_video_libraries_are_tried_in_a_child() -> None:
    """PyAV proves itself without being imported here."""
    check = only(doctor.check_video())
    assert check.verdict == "ok"
    assert "libavcodec" in check.value


@pytest.mark.slow
def test_the_whole_diagnosis_runs_here_and_tells_both_precisions() -> None:
    """TensorFlow included, in its own process."""
    checks = {check.name: check for check in doctor.diagnose()}
    assert checks["engine tensorflow"].verdict == "ok"
    assert {"precision float32", "precision bfloat16", "memory", "video"} <= set(checks)


def test_a_report_is_lines_for_people_or_json() -> None:
    """Hints stand below their finding."""
    checks = [Check("cpu", "ok", "fast"), Check("port 8080", "warn", "in use", "stop it")]
    assert doctor.report(checks).splitlines() == [
        "ok    cpu        fast",
        "warn  port 8080  in use",
        "                 -> stop it",
    ]
    assert json.loads(doctor.report(checks, is_json=True))[1] == {
        "name": "port 8080",
        "verdict": "warn",
        "value": "in use",
        "hint": "stop it",
    }

"""Claims about pipeline.probe: versions without imports."""

from __future__ import annotations

import platform
import subprocess
import sys

from pipeline.probe import build_facts


def test_facts_name_python_and_what_is_installed() -> None:
    """Versions come from the package metadata."""
    facts = build_facts("1.2", "abc")
    assert facts["python"] == platform.python_version()
    assert (facts["version"], facts["commit"]) == ("1.2", "abc")


def test_learning_the_version_of_tensorflow_does_not_import_it() -> None:
    """The control process must never load it."""
    code = (
        "import sys; from pipeline.probe import build_facts; build_facts('', '');"
        "assert 'tensorflow' not in sys.modules and 'av' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)

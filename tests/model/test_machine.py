"""Claims about model.machine: it says what figures were measured on, and nothing else."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from model.machine import cpu_fields, package_version, this_machine

CPUINFO = """processor\t: 0
model name\t: Some CPU @ 3 GHz
flags\t\t: fpu avx2 avx512_bf16 amx_int8

processor\t: 1
model name\t: Another CPU
"""


def test_the_first_cpu_is_described(tmp_path: Path) -> None:
    """Its name, and of its flags those that decide how fast a network is."""
    path = tmp_path / "cpuinfo"
    path.write_text(CPUINFO)
    machine = this_machine(path)
    assert machine.processor == "Some CPU @ 3 GHz"
    assert machine.flags == ("avx2", "avx512_bf16", "amx_int8")
    assert machine.n_cores == len(os.sched_getaffinity(0))
    assert machine.python == platform.python_version()
    assert "Some CPU @ 3 GHz (avx2, avx512_bf16, amx_int8)" in str(machine)


def test_a_system_that_tells_nothing_is_described_by_its_kind(tmp_path: Path) -> None:
    """Other architectures have other fields, or no such file."""
    assert cpu_fields(tmp_path / "none") == {}
    machine = this_machine(tmp_path / "none")
    assert (machine.processor, machine.flags) == (platform.machine(), ())
    assert "()" not in str(machine)


def test_versions_are_those_of_installed_packages() -> None:
    """Absent ones are left out."""
    versions = this_machine().versions
    assert versions["numpy"] == package_version("numpy")
    assert all(versions.values())
    assert package_version("no-such-distribution") is None


def test_the_machine_and_its_user_are_not_named() -> None:
    """Result files are published."""
    assert platform.node() not in str(this_machine())

"""Claims about model.engines.banner: runtimes load silently, and nothing else is lost."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest


def stderr_of(code: str) -> str:
    """Run a program that begins with our environment and imports."""
    begin = """
        import os
        from model.engines import prepare
        from model.engines.banner import without_banner
        prepare()
        line = b"I0000 00:00:1795991773.158467    1858 cudart_stub.cc:31] no drivers\\n"
    """
    program = textwrap.dedent(begin) + textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    return done.stderr


def test_tensorflow_loads_without_a_word() -> None:
    """Neither while it is imported nor when it looks for devices."""
    code = """
        with without_banner():
            import tensorflow as tf
        assert tf.config.list_physical_devices("CPU")
        assert float(tf.reduce_sum(tf.ones((2, 2)))) == 4.0
    """
    assert stderr_of(code) == ""


@pytest.mark.parametrize("writer", ["os.write(2, {})", "sys.stderr.buffer.write({})"])
def test_what_is_no_banner_comes_through_in_order(writer: str) -> None:
    """Errors, warnings of other libraries, and what is written before and after."""
    code = f"""
        import sys
        os.write(2, b"before\\n")
        with without_banner():
            {writer.format("line")}
            {writer.format('b"E0000 00:00:1 x.cc:1] broken' + chr(92) + 'n"')}
            {writer.format('b"hold on' + chr(92) + 'n"')}
        os.write(2, b"after\\n")
    """
    assert stderr_of(code).splitlines() == [
        "before",
        "E0000 00:00:1 x.cc:1] broken",
        "hold on",
        "after",
    ]


def test_without_a_stderr_imports_work_all_the_same() -> None:
    """As a program has it that was started with `2>&-`."""
    code = "from model.engines.banner import without_banner\nwith without_banner():\n    print(1)"
    command = ["sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, code]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "1\n")


def test_of_an_import_that_fails_everything_is_told() -> None:
    """The banner may say why."""
    code = """
        try:
            with without_banner():
                os.write(2, line)
                import no_such_runtime
        except ImportError as err:
            os.write(2, str(err).encode())
    """
    first, second = stderr_of(code).splitlines()
    assert first.endswith("no drivers")
    assert second == "No module named 'no_such_runtime'"

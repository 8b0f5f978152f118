"""What the control process runs on, learned from package metadata.

In: names of distributions. Out: versions. Invariant: nothing heavy is imported to learn one.
"""

from __future__ import annotations

import platform

from model.machine import package_version


def build_facts(version: str, commit: str) -> dict[str, str]:
    """Return what the product runs on."""
    return {
        "version": version,
        "commit": commit,
        "python": platform.python_version(),
        "tensorflow": package_version("tensorflow") or "",
    }

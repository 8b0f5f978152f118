"""What the control process runs on, learned from package metadata.

In: names of distributions. Out: versions. Invariant: nothing heavy is imported to learn one.
"""

from __future__ import annotations

import importlib.metadata
import platform


def build_facts(version: str, commit: str) -> dict[str, str]:
    """Return what the product runs on."""
    return {
        "version": version,
        "commit": commit,
        "python": platform.python_version(),
        "tensorflow": package_version("tensorflow") or "",
    }


def package_version(name: str) -> str | None:
    """Return the version of an installed distribution without importing it; None where absent."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None

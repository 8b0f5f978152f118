"""Results that are costly to find again, on disk: compiled graphs, choices made by measuring.

In: bytes under a kind and a key that names everything they depend on (weights, graph, engine
version, processor). Out: the same bytes, or None. An entry carries its own sha256; a damaged one is
removed and counts as missing, so the caller makes it anew. Invariant: nothing here can fail a
start: a folder that cannot be written is told once, and the work is done each time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import platform
import tempfile
from collections.abc import Mapping
from pathlib import Path

import platformdirs

log = logging.getLogger(__name__)

_MAGIC = b"bresnet-cache 1\n"
_DIGEST_BYTES = 32
ENTRY_BYTES = 256 << 20
"""Largest entry that is read: a compiled float32 network with its weights takes 20 MB."""
LIMIT_BYTES = 1 << 30
"""All entries together; beyond it those not used for the longest time are removed."""


def default_folder() -> Path:
    """Return the folder of this user for data that can be made again."""
    return platformdirs.user_cache_path("bresnet-stream", appauthor=False)


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Name what compiled code depends on: the processor's model, its features, the core count."""
    facts = {"machine": platform.machine(), "cores": str(os.cpu_count())}
    with contextlib.suppress(OSError):
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "flags", "Features"):
                facts.setdefault(name.strip(), value.strip())
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


class Cache:
    """Entries in one folder, shared by all processes of a user.

    Args:
        folder: where entries live; None remembers nothing.
        limit_bytes: of all entries together.
    """

    def __init__(self, folder: Path | None, limit_bytes: int = LIMIT_BYTES) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes

    def read(self, kind: str, key: Mapping[str, str]) -> bytes | None:
        """Return an entry's content; None where there is none, or a damaged one.

        Args:
            kind: what it is; letters, digits and dashes.
            key: everything the content depends on.
        """
        path = self._path(kind, key)
        if path is None:
            return None
        try:
            with path.open("rb") as file:
                data = file.read(ENTRY_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as err:
            log.warning("cache entry %s cannot be read (%s): made anew", path, err.strerror)
            return None
        content = _checked(data)
        with contextlib.suppress(OSError):
            if content is None:
                log.warning("cache entry %s is damaged: removed, made anew", path)
                path.unlink(missing_ok=True)
            else:
                os.utime(path)
        return content

    def write(self, kind: str, key: Mapping[str, str], content: bytes) -> None:
        """Keep content for later processes; a reader sees all of it or nothing."""
        path = self._path(kind, key)
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
                try:
                    file.write(_MAGIC + hashlib.sha256(content).digest() + content)
                    file.close()
                    Path(file.name).replace(path)
                except BaseException:
                    Path(file.name).unlink(missing_ok=True)
                    raise
            self._shrink(keep=path)
        except OSError as err:
            log.warning("cache folder %s cannot be written (%s)", path.parent, err.strerror)
            self._folder = None

    def remove(self, kind: str, key: Mapping[str, str]) -> None:
        """Forget an entry whose content turned out to be of no use."""
        path = self._path(kind, key)
        if path is not None:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def _path(self, kind: str, key: Mapping[str, str]) -> Path | None:
        if self._folder is None:
            return None
        digest = hashlib.sha256(json.dumps(dict(key), sort_keys=True).encode()).hexdigest()
        return self._folder / f"{kind}-{digest[:40]}.bin"

    def _shrink(self, keep: Path) -> None:
        """Remove what was not used for the longest time, until all fits."""
        entries = []
        for path in keep.parent.glob("*-*.bin"):
            with contextlib.suppress(OSError):  # another process removed it
                facts = path.stat()
                entries.append((facts.st_mtime, facts.st_size, path))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= self._limit_bytes:
                return
            if path != keep:
                path.unlink(missing_ok=True)
                total -= size


def _checked(data: bytes) -> bytes | None:
    """Return the content behind a valid header."""
    start = len(_MAGIC) + _DIGEST_BYTES
    if not data.startswith(_MAGIC) or not start <= len(data) <= ENTRY_BYTES:
        return None
    content = data[start:]
    return content if hashlib.sha256(content).digest() == data[len(_MAGIC) : start] else None

"""What an engine found out at warm-up, kept for the next start.

In: everything a choice depends on. Out: a `Remembered` choice, or None. Invariant: a choice is
believed only if the graph built from it computes, within its tolerance, what it computed when it
was verified (`golden`); otherwise the entry is forgotten and the engine measures anew.
"""

from __future__ import annotations

import functools
import hashlib
import os
from pathlib import Path

import msgspec
import numpy as np

from model.bundle import Bundle
from model.cache import Cache, default_folder, processor
from model.classifier import Embeddings
from model.config import ModelConfig

_KIND = "choice"


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """A verified choice.

    Attributes:
        way: what was chosen, in the engine's words.
        difference: measured against the unfused network.
        cost_s: seconds of full windows, by batch size.
        step_cost_s: seconds of steps by hop and batch size, of the hops that have a stepper.
        report: measured figures of all candidates.
        golden: embeddings of the probe clips, as verified.
    """

    way: list[str]
    difference: float
    cost_s: dict[int, float]
    step_cost_s: dict[int, dict[int, float]]
    report: dict[str, float]
    golden: list[list[float]]

    def computes(self, embeddings: Embeddings, tolerance: float) -> bool:
        """Tell whether these embeddings of the probe clips are those that were verified."""
        golden = np.array(self.golden, np.float32)
        if golden.shape != embeddings.shape or not np.isfinite(embeddings).all():
            return False
        return bool(np.abs(embeddings - golden).max() <= tolerance * np.abs(golden).max())


@functools.cache
def program() -> str:
    """Digest of the files that decide what is computed, and what of it is remembered how."""
    folder = Path(__file__).parent
    files = [*sorted(folder.glob("*.py")), *sorted(folder.parent.glob("*.py"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


class Memory:
    """The choice of one engine for one bundle on this machine.

    Args:
        bundle: weights and facts.
        config: what the user asked for, and where things are kept.
        runtime: name and version of the engine.
        asked: what else the choice depends on (batch sizes, hops).
    """

    def __init__(self, bundle: Bundle, config: ModelConfig, runtime: str, asked: str) -> None:
        self.cache = Cache((config.cache_dir or default_folder()) if config.cache else None)
        facts = bundle.manifest
        self.key = {
            "weights": bundle.sha256,
            "form": f"{facts.temporal_padding} {facts.frames}x{facts.size_px} {facts.pixel_scale}",
            "runtime": f"{runtime} {os.environ.get('TF_ENABLE_ONEDNN_OPTS', '')}",
            "processor": processor(),
            "config": f"{config.precision} {config.threads} {config.mode}",
            "asked": asked,
            "program": program(),
        }

    def recall(self) -> Remembered | None:
        """Return what an earlier start chose."""
        content = self.cache.read(_KIND, self.key)
        if content is None:
            return None
        try:
            return msgspec.json.decode(content, type=Remembered)
        except msgspec.MsgspecError:  # of another version of this program
            return None

    def keep(self, choice: Remembered) -> None:
        """Remember a choice for later starts."""
        self.cache.write(_KIND, self.key, msgspec.json.encode(choice))

    def forget(self) -> None:
        """Drop a choice that does not hold."""
        self.cache.remove(_KIND, self.key)

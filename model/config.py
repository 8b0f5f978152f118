"""What a user may say about the model: which bundle, on which engine, in which precision.

In: mappings from the configuration file. Out: validated, immutable values. Importable without any
engine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

DEFAULT_BUNDLE = "motion-events"
"""What runs where nothing else is asked for."""

EngineName = Literal["tensorflow", "openvino"]


class ModelConfig(BaseModel):
    """Bundle, engine and precision."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    bundle: str = DEFAULT_BUNDLE
    """Name of a built-in bundle, or path of a bundle's folder or zip."""
    engine: EngineName = "tensorflow"
    """Runtime of the network; openvino needs the extra of that name."""
    precision: Literal["auto", "float32", "bfloat16", "int8"] = "auto"
    """auto measures at warm-up and keeps the fastest precision that agrees with the network; int8
    (openvino alone) is faster and only close to it, so it is never chosen by itself."""
    threads: int | None = Field(None, ge=1, le=256)
    """Threads of the engine; all cores where absent."""
    cache: bool = True
    """Keep compiled graphs and what was measured at warm-up on disk: a restart is then faster."""
    cache_dir: Path | None = None
    """Folder for that; by default the user's own cache folder."""
    embeddings: bool = False
    """Pass the embedding of each window on with its scores, 4 bytes a value."""
    mode: Literal["auto", "steps", "full"] = "auto"
    """auto: windows that follow each other are computed from their new frames, with the same
    result, where that is faster here (a causal bundle always is); steps: even where it is not;
    full: each window from all its frames."""
    state_bytes: int = Field(1 << 30, ge=0)
    """Memory for what streams keep between windows; a camera for which nothing is left has its
    windows computed in full."""
    audit_every: int = Field(200, ge=0)
    """One window in so many is computed a second time, in full, and compared; 0: none."""

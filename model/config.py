"""What a user may say about the model: which bundle, on which engine, in which precision.

In: mappings from the configuration file. Out: validated, immutable values. Importable without any
engine.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

EngineName = Literal["tensorflow"]


class ModelConfig(BaseModel):
    """Bundle, engine and precision."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    bundle: str = "untrained"
    """Name of a built-in bundle, or path of a bundle folder."""
    engine: EngineName = "tensorflow"
    """Runtime of the network."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto measures at warm-up and keeps the fastest precision that agrees with the network."""
    threads: int | None = Field(None, ge=1, le=256)
    """Threads of the engine; all cores where absent."""

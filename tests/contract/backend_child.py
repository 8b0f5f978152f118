"""A process that trains four steps of the tiny run, on the backend that KERAS_BACKEND names.

Goes on with the run in the folder it is given, says where it began and whether what it holds is
what the checkpoint holds, and writes a bundle. Under JAX TensorFlow cannot be imported, as on a
machine that has none.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

if os.environ["KERAS_BACKEND"] == "jax":
    sys.modules["tensorflow"] = None  # type: ignore[assignment]

from model.engines import prepare

prepare()

from model.training.checkpoint import Checkpoints  # noqa: E402 - after the environment is set
from model.training.loop import TrainingLoop  # noqa: E402
from tests.model.training.stand_in import BlockSource, few_steps  # noqa: E402


def main() -> None:
    """Train to the end."""
    folder, recipe = Path(sys.argv[1]), few_steps()
    loop = TrainingLoop(recipe, BlockSource(recipe), folder, lambda *_: None, lambda: False)
    loaded = Checkpoints(folder / "checkpoints").load(recipe.fingerprint())
    is_kept = loaded is None or all(
        np.array_equal(array, loaded[0][name]) for name, array in loop.run.state.arrays().items()
    )
    print(loop.first_step, is_kept)
    loop.train()
    loop.export(folder / "bundle")


if __name__ == "__main__":
    main()

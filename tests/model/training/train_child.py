"""A process that trains half of a network in the folder it is given; tests kill it."""

from __future__ import annotations

import sys
from pathlib import Path

from model.engines import prepare

prepare()

from model.training.loop import TrainingLoop  # noqa: E402 - after the environment is set
from model.training.run import make_repeatable  # noqa: E402
from tests.model.training.stand_in import BlockSource, late_recipe  # noqa: E402


def main() -> None:
    """Train to the end, telling each step on stdout."""
    make_repeatable()
    recipe = late_recipe()

    def tell(step: int, _: object) -> None:
        print(step, flush=True)

    loop = TrainingLoop(recipe, BlockSource(recipe), Path(sys.argv[1]), tell, lambda: False)
    print("from", loop.first_step, flush=True)
    loop.train()


if __name__ == "__main__":
    main()

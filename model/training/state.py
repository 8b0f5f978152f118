"""Everything a training run carries from one step to the next, as named arrays and back.

Holds the weights, their moving average, the moving statistics and the optimizer's slots as Keras
variables. In and out: plain float arrays, which a checkpoint stores.
Invariant: `restore(arrays())` changes no bit, and frozen weights are never in `trained`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from model.errors import TrainingError
from model.training.network import MOMENTUM, is_statistic, variables
from model.training.optimizer import make_optimizer
from model.training.recipe import OptimizerRecipe

Arrays = dict[str, npt.NDArray[Any]]


class TrainingState:
    """Variables of a run.

    Args:
        arrays: the first weights, by the names of `network.weight_shapes`.
        recipe: of the optimizer.
        steps: of the whole run.
        frozen: stages that are not trained.
        scales_loss: for float16.

    Attributes:
        weights: all variables by name.
        trained: names that gradients change.
        average: moving average of all that changes, moving statistics included, by name.
        optimizer: built for what is trained.
    """

    def __init__(
        self,
        arrays: Mapping[str, npt.NDArray[np.float32]],
        recipe: OptimizerRecipe,
        steps: int,
        *,
        frozen: frozenset[str] = frozenset(),
        scales_loss: bool = False,
    ) -> None:
        self.weights = variables(arrays)
        self.trained = tuple(
            name
            for name in arrays
            if not is_statistic(name) and name.split("/", 1)[0] not in frozen
        )
        self.average = variables(
            {name: array for name, array in arrays.items() if name.split("/", 1)[0] not in frozen}
        )
        trained = [self.weights[name] for name in self.trained]
        undecayed = [
            self.weights[name] for name in self.trained if name.rsplit("/", 1)[1] != "kernel"
        ]
        self.optimizer = make_optimizer(recipe, steps, undecayed, scales_loss=scales_loss)
        self.optimizer.build(trained)

    def arrays(self) -> Arrays:
        """Copy everything out."""
        return {name: np.array(variable.numpy()) for name, variable in self._all().items()}

    def averaged(self) -> dict[str, npt.NDArray[np.float32]]:
        """Copy the weights out as the bundle gets them: averaged where trained."""
        held = {**self.weights, **self.average}
        return {name: np.array(variable.numpy(), np.float32) for name, variable in held.items()}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Put everything back.

        Raises:
            TrainingError: arrays are missing, unknown or of another shape.
        """
        held = self._all()
        if differing := sorted(held.keys() ^ arrays.keys()):
            raise TrainingError(
                f"the checkpoint does not fit the recipe, first differing array: {differing[0]}"
            )
        for name, variable in held.items():
            if tuple(variable.shape) != arrays[name].shape:
                raise TrainingError(
                    f"the checkpoint's {name} has shape {arrays[name].shape}, the recipe needs"
                    f" {tuple(variable.shape)}"
                )
            variable.assign(arrays[name])

    def _all(self) -> dict[str, Any]:
        slots = {f"optimizer/{i:04d}": v for i, v in enumerate(self.optimizer.variables)}
        weights = {f"weights/{name}": v for name, v in self.weights.items()}
        return weights | {f"average/{name}": v for name, v in self.average.items()} | slots


class Decay(NamedTuple):
    """What the moving averages keep of their past in a step.

    Attributes:
        weights: of the average of the weights.
        statistics: of the moving statistics of BatchNorm.
    """

    weights: float
    statistics: float


def decay_at(step: int, longest: float) -> Decay:
    """Return the decays at a step.

    Short at the start, so that what a run begins with is soon forgotten.

    Args:
        step: counted from 0.
        longest: of the average of the weights.
    """
    growing = (1 + step) / (10 + step)
    return Decay(min(longest, growing), min(MOMENTUM, growing))

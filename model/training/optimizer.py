"""What turns gradients into steps: AdamW or Muon, with a linear warm-up and half a cosine.

In: the recipe's figures. Out: a Keras optimizer for the variables of a state.
Invariant: both decay the same variables, and a step of Muon is as long as one of AdamW at the same
learning rate, so that a recipe may name either.
"""

from __future__ import annotations

import math
from typing import Any, Final

import keras
from keras import ops

from model.engines import has_native_bfloat16
from model.training.recipe import OptimizerRecipe

HEADS: Final = ("scores", "moments", "places", "rates")
"""Layers whose outputs are judged."""


class KernelMuon(keras.optimizers.Muon):
    """Muon for kernels of any number of dimensions: each is the matrix of inputs by outputs.

    Keras' own takes AdamW for all but two dimensions, and this network's kernels have five. Layers
    whose outputs are judged, biases and BatchNorm take AdamW here too.

    References:
        Muon, kellerjordan.github.io/posts/muon; the length of its steps, arXiv:2502.16982.
    """

    def _should_use_adamw(self, variable: Any) -> bool:
        is_matrix = len(variable.shape) > 1 and math.prod(variable.shape[:-1]) > 1
        return not is_matrix or variable.name.startswith(HEADS)

    def _muon_update_step(self, gradient: Any, variable: Any, lr: Any, m: Any) -> None:
        self.assign_add(m, gradient + m * (self.momentum - 1))
        way = gradient + self.momentum * m if self.nesterov else m
        way = ops.reshape(way, (-1, variable.shape[-1]))
        # Its author runs the iteration in bfloat16; here half of 0.3 s a step (measured).
        dtype = "bfloat16" if has_native_bfloat16() else "float32"
        way = self.zeropower_via_newtonschulz5(ops.cast(way, dtype), self.ns_steps)
        step = self.lr_adjust(lr * ops.cast(way, gradient.dtype))
        self.assign_sub(variable, ops.reshape(step, variable.shape))


def make_optimizer(
    recipe: OptimizerRecipe, steps: int, undecayed: list[Any], *, scales_loss: bool
) -> Any:
    """Make the optimizer of a run.

    Args:
        recipe: its figures.
        steps: of the whole run.
        undecayed: variables without weight decay.
        scales_loss: for float16, whose gradients would underflow.

    References:
        AdamW, arXiv:1711.05101.
    """
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=steps - recipe.warmup_steps,
        alpha=recipe.floor_share,
        warmup_target=recipe.peak_learning_rate,
        warmup_steps=recipe.warmup_steps,
    )
    decay, clip = recipe.weight_decay, recipe.clip_norm
    if recipe.kind == "muon":
        optimizer = KernelMuon(
            schedule, weight_decay=decay, adam_weight_decay=decay, global_clipnorm=clip
        )
    else:
        optimizer = keras.optimizers.AdamW(schedule, weight_decay=decay, global_clipnorm=clip)
    optimizer.exclude_from_weight_decay(var_list=undecayed)
    return keras.optimizers.LossScaleOptimizer(optimizer) if scales_loss else optimizer

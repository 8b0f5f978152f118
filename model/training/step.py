"""One step down the gradient, and one pass without it, on the Keras backend that runs.

In: a batch of clips with targets and weights. Out: loss and length of the gradient; the state's
variables move on. TensorFlow compiles the step to a graph with a tape, JAX jits a pure function of
the state; both differentiate the same `forward` and `Objective`, and both hand the gradients to the
same Keras optimizer. Invariant: nothing in a step is random: pairs and shares of mixup come in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from model.data.batch import Batch
from model.training.backend import backend
from model.training.network import Form, forward, moved
from model.training.objective import (
    Mix,
    Objective,
    balanced,
    coarser,
    coarser_rates,
    decided,
    mix_clips,
    rates_apart,
)
from model.training.state import Decay, TrainingState

Array = npt.NDArray[np.float32]


class Progress(NamedTuple):
    """Figures of a step."""

    loss: float
    gradient_norm: float


class Judged(NamedTuple):
    """Logits by the moving statistics.

    Attributes:
        logits: float32 (N, K).
        moments: float32 (N, P, K); None where that loss has no share.
        places: float32 (N, P, G, G, 7) each, as in `Passed`; empty where that loss has no share.
        rates: float32 (N, P, G, G, 4) each, likewise.
    """

    logits: Array
    moments: Array | None
    places: tuple[Array, ...]
    rates: tuple[Array, ...]


class Shares(NamedTuple):
    """Weights of the losses that help the one of whole clips, where a batch knows their truth.

    Attributes:
        moments: of the time positions.
        places: of the cells of the picture.
        rates: of how fast things move in them.
    """

    moments: float = 0.0
    places: float = 0.0
    rates: float = 0.0


ALONE: Final = Shares()
"""The loss of whole clips alone."""


class Trainer:
    """Steps and passes over one state.

    Args:
        state: moved by `step`.
        objective: of the loss.
        form: of the network.
        is_mixed: whether clips are mixed.
        shares: weights of further losses.
    """

    def __init__(
        self,
        state: TrainingState,
        objective: Objective,
        form: Form,
        *,
        is_mixed: bool,
        shares: Shares = ALONE,
    ) -> None:
        self._state, self._objective, self._form = state, objective, form
        self._is_mixed, self._shares = is_mixed, shares
        self._jits: dict[str, Callable[..., Any]] = {}
        self._is_tensorflow = backend() == "tensorflow"

    def step(self, batch: Batch, mix: Mix, decay: Decay) -> Progress:
        """Learn from a batch.

        Args:
            batch: clips with truth.
            mix: pairs and shares.
            decay: of the moving averages.
        """
        run = self._jitted("step", self._tf_step if self._is_tensorflow else self._jax_step)
        truth = (*batch[1:], mix.partner, mix.share)
        inputs = (batch.clips, *truth, np.array(decay, np.float32))
        if self._is_tensorflow:
            loss, norm = run(*map(ops.convert_to_tensor, inputs))
        else:
            held = [[v.value for v in group] for group in self._groups()]
            held, (loss, norm) = run(held, *inputs)
            for group, values in zip(self._groups(), held, strict=True):
                for variable, value in zip(group, values, strict=True):
                    variable.assign(value)
        return Progress(float(loss), float(norm))

    def judged(self, weights: Mapping[str, Array], clips: npt.NDArray[np.uint8]) -> Judged:
        """Return what given weights say of clips, time positions, places and rates included."""
        run = self._jitted("judged", self._passed)
        logits, moments, *parts = run(dict(weights), ops.convert_to_tensor(clips))
        told = None if moments is None else np.asarray(moments)
        places, rates = (tuple(np.asarray(seen) for seen in part) for part in parts)
        return Judged(np.asarray(logits), told, places, rates)

    def statistics(
        self, weights: Mapping[str, Array], clips: npt.NDArray[np.uint8]
    ) -> dict[str, Array]:
        """Return mean and variance of a batch in every BatchNorm that is not frozen."""
        run = self._jitted("statistics", self._statistics)
        found = run(dict(weights), ops.convert_to_tensor(clips))
        return {name: np.asarray(value) for name, value in found.items()}

    def loss(self, logits: Array, targets: Array, weights: Array) -> float:
        """Return the loss of given logits."""
        tensors = (ops.convert_to_tensor(array) for array in (logits, targets, weights))
        return float(self._objective(*tensors))

    def _passed(self, weights: Any, clips: Any) -> tuple[Any, ...]:
        passed = forward(weights, clips, self._form, is_training=False)
        return passed.logits, passed.moments, passed.places, passed.rates

    def _statistics(self, weights: Any, clips: Any) -> Any:
        return forward(weights, clips, self._form, is_training=True).statistics

    def _jitted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        if name not in self._jits:
            if self._is_tensorflow:
                import tensorflow as tf

                self._jits[name] = tf.function(function, reduce_retracing=False, autograph=False)
            else:
                import jax

                self._jits[name] = jax.jit(function)
        return self._jits[name]

    def _loss(self, weights: Any, clips: Any, truth: tuple[Any, ...]) -> tuple[Any, Any]:
        """Return the loss and the batch statistics."""
        targets, certainty, moments, places, rates, partner, share = truth
        mix = (partner, share) if self._is_mixed else None
        if mix is not None:
            clips = mix_clips(clips, partner, share, self._form.dtype)
        passed = forward(weights, clips, self._form, is_training=True)
        loss = self._judged(passed.logits, targets, certainty, mix)
        if self._shares.moments and passed.moments is not None and 0 not in moments.shape:
            known = decided(moments)
            loss += self._shares.moments * self._judged(passed.moments, *known, mix)
        if self._shares.places and 0 not in places.shape:
            for seen in passed.places:
                known = balanced(*decided(places))
                part = self._judged(seen, *known, mix) / len(passed.places)
                loss += self._shares.places * part
                places = coarser(places)
        if self._shares.rates and 0 not in rates.shape:
            for told in passed.rates:
                loss += self._shares.rates * rates_apart(told, rates) / len(passed.rates)
                rates = coarser_rates(rates)
        return loss, passed.statistics

    def _judged(self, logits: Any, targets: Any, weights: Any, mix: tuple[Any, Any] | None) -> Any:
        if mix is None:
            return self._objective(logits, targets, weights)
        return self._objective.mixed(logits, targets, weights, mix)

    def _tf_step(self, clips: Any, *rest: Any) -> tuple[Any, Any]:
        import tensorflow as tf

        *truth, decay = rest
        state = self._state
        held = {name: variable.value for name, variable in state.weights.items()}
        trained = [held[name] for name in state.trained]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(trained)
            loss, found = self._loss(held, clips, tuple(truth))
            scaled = state.optimizer.scale_loss(loss)
        # Layers of a truth that a batch does not have get zeros, as on JAX, instead of nothing.
        zero = tf.UnconnectedGradients.ZERO
        gradients = tape.gradient(scaled, trained, unconnected_gradients=zero)
        norm = self._norm(gradients, loss, scaled)
        state.optimizer.apply(gradients)
        for name, value in moved(held, found, decay[1]).items():
            state.weights[name].assign(value)
        for name, average in state.average.items():
            average.assign(self._averaged(average, state.weights[name], decay[0]))
        return loss, norm

    def _jax_step(self, held: Any, clips: Any, *rest: Any) -> Any:
        import jax

        *truth, decay = rest
        state = self._state
        weights, average, slots = held
        weights = dict(zip(state.weights, weights, strict=True))
        trained = [weights[name] for name in state.trained]
        optimizer = state.optimizer

        def loss_of(values: list[Any]) -> tuple[Any, Any]:
            now = weights | dict(zip(state.trained, values, strict=True))
            loss, found = self._loss(now, clips, tuple(truth))
            mapping = list(zip(optimizer.variables, slots, strict=True))
            with keras.StatelessScope(state_mapping=mapping):
                return optimizer.scale_loss(loss), (loss, found)

        (scaled, (loss, found)), gradients = jax.value_and_grad(loss_of, has_aux=True)(trained)
        norm = self._norm(gradients, loss, scaled)
        trained, slots = optimizer.stateless_apply(slots, gradients, trained)
        weights |= dict(zip(state.trained, trained, strict=True)) | moved(weights, found, decay[1])
        average = [
            self._averaged(old, weights[name], decay[0])
            for name, old in zip(state.average, average, strict=True)
        ]
        return [list(weights.values()), average, slots], (loss, norm)

    def _groups(self) -> list[list[Any]]:
        state = self._state
        return [
            list(state.weights.values()),
            list(state.average.values()),
            state.optimizer.variables,
        ]

    @staticmethod
    def _averaged(average: Any, now: Any, decay: Any) -> Any:
        average = ops.convert_to_tensor(average)
        return average + (1.0 - decay) * (ops.convert_to_tensor(now) - average)

    @staticmethod
    def _norm(gradients: list[Any], loss: Any, scaled: Any) -> Any:
        """Length of the gradient, without the factor that float16 needs."""
        total = sum(ops.sum(ops.square(g)) for g in gradients)
        return ops.sqrt(total) * (loss / scaled)

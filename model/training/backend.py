"""Which Keras backend a training runs on.

In: what the user's Keras is set to. Out: its name, or one sentence that says what to do.
Invariant: nothing of Keras is imported before it is asked for.
"""

from __future__ import annotations

from model.engines.banner import without_banner
from model.errors import TrainingError

BACKENDS = ("tensorflow", "jax")


def backend() -> str:
    """Load Keras and name its backend.

    Returns:
        One of `BACKENDS`.

    Raises:
        TrainingError: Keras is set to a backend that is not installed, or that cannot train here.
    """
    try:
        with without_banner():
            import keras
    except ImportError as err:
        raise TrainingError(
            f"Keras is set to a backend whose library {err.name} is not installed; unset"
            f" KERAS_BACKEND (or ~/.keras/keras.json), or install {err.name}"
        ) from err
    name: str = keras.backend.backend()
    if name not in BACKENDS:
        raise TrainingError(
            f"training runs on {' or '.join(BACKENDS)}, not on {name}; set KERAS_BACKEND to one"
        )
    return name

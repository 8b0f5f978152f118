"""The network, its weights and the engines that run it.

`from model import BResNet162Plus1DD` gives the Keras model; spec, labels, bundle and config are
plain Python and numpy. Invariant: importing this package loads no TensorFlow and no Keras; the
first use of a name below does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.blocks import BottleneckResidual2Plus1DD
    from model.bresnet import BResNet162Plus1DD
    from model.layers import Conv2Plus1D, Conv2Plus1DLayer, HardSwish, Mish

__all__ = [
    "BResNet162Plus1DD",
    "BottleneckResidual2Plus1DD",
    "Conv2Plus1D",
    "Conv2Plus1DLayer",
    "HardSwish",
    "Mish",
]

_HOME = {
    "BResNet162Plus1DD": "model.bresnet",
    "BottleneckResidual2Plus1DD": "model.blocks",
    "Conv2Plus1D": "model.layers",
    "Conv2Plus1DLayer": "model.layers",
    "HardSwish": "model.layers",
    "Mish": "model.layers",
}


def __getattr__(name: str) -> object:
    """Load the module that holds a public name on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'model' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

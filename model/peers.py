"""What users would do without this project: the Keras network converted as it is.

In: the network of a `Subject`. Out: `Way`s of ONNX Runtime and OpenVINO on the unfused graph, or
`Absent` with what to install. Their packages are wanted for development only. They are imported
behind `engines.prepare`, which the network is built with, so that none of them calls home.
Invariant: nothing here is used by the product, and nothing of the graph is changed by us.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from model import spec
from model.comparison import Absent
from model.ways import Subject, Way, precisions

NAME = "unfused, converted as is"
OPSET = 17
"""Of ONNX: the newest that all supported versions of ONNX Runtime and tf2onnx know."""

_HINTS = {"float32": "f32", "bfloat16": "bf16"}

Run = Callable[[Any], Any]
"""float32 (1, T, S, S, 3) -> embeddings (1, E)."""


def peer_ways(subject: Subject) -> Iterator[Way | Absent]:
    """Yield the peers; those that fail say why instead of ending the comparison."""
    yield _way(subject, "onnxruntime", "float32", ("onnxruntime", "tf2onnx", "onnx"), onnx_run)
    for precision in precisions(("float32", "bfloat16")):
        build = partial(openvino_run, precision=precision)
        yield _way(subject, "openvino", precision, ("openvino",), build)


def _way(
    subject: Subject,
    engine: str,
    precision: str,
    packages: tuple[str, ...],
    build: Callable[[Subject], Run],
) -> Way | Absent:
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        hint = f"not installed: pip install {' '.join(missing)}"
        return Absent(NAME, engine, precision, hint)
    try:
        run, pixels = build(subject), subject.pixels()
        difference = subject.difference(run(pixels))
    except Exception as err:  # noqa: BLE001 - of a foreign runtime; it must not end the comparison
        return Absent(
            NAME, engine, precision, " ".join(f"{type(err).__name__}: {err}".split())[:200]
        )
    macs = subject.layer_macs()
    return Way(NAME, engine, precision, lambda: run(pixels), macs, difference=difference)


def onnx_run(subject: Subject) -> Run:
    """Convert with tf2onnx; run with ONNX Runtime's defaults on the CPU."""
    function, signature = _function(subject)
    import onnxruntime
    import tf2onnx

    model, _ = tf2onnx.convert.from_function(function, input_signature=[signature], opset=OPSET)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    return lambda pixels: session.run(None, {name: pixels})[0]


def openvino_run(subject: Subject, precision: str) -> Run:
    """Convert with OpenVINO; compile for latency in a precision."""
    function, signature = _function(subject)
    import openvino

    from model.engines.openvino_device import core

    model = openvino.convert_model(function.get_concrete_function(signature))
    compiled = core().compile_model(
        model,
        "CPU",
        {"INFERENCE_PRECISION_HINT": _HINTS[precision], "PERFORMANCE_HINT": "LATENCY"},
    )
    return lambda pixels: np.asarray(compiled(pixels)[0])


def _function(subject: Subject) -> tuple[Any, Any]:
    network = subject.network
    import tensorflow as tf

    shape = (1, subject.frames, subject.size_px, subject.size_px, spec.CHANNELS)
    function = tf.function(lambda clips: network(clips, training=False), autograph=False)
    return function, tf.TensorSpec(shape, tf.float32, name="clips")

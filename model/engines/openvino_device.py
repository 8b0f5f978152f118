"""OpenVINO's CPU device: models compiled, kept on disk, and run.

In: a way to write a model down. Out: requests that infer. A compiled model is kept as OpenVINO
exports it, under everything it depends on, in `model.cache`, which notices a flipped bit.
Invariant: whatever OpenVINO raises leaves here as `EngineFailedError`.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov

from model.cache import Cache
from model.engines.memory import program
from model.errors import EngineFailedError
from model.trace import Node

Array = npt.NDArray[Any]

_KIND = "openvino"
_HINT = {"float32": "f32", "bfloat16": "bf16", "int8": "bf16"}
"""What is not quantized in int8 is bfloat16."""


@functools.cache
def core() -> Any:
    """Return OpenVINO itself: one a process, which stays.

    Where the last one goes, its CPU plugin unmaps the stack that it gave the thread for signals
    (2026.4 with AMX): the next Ctrl-C is a segmentation fault.
    """
    return ov.Core()


class Device:
    """Compiles models for one precision.

    Args:
        precision: of all operations that have it.
        threads: of each request; all cores where None.
        cache: keeps compiled models.
        key: everything a compiled model depends on besides its name, the engine and the program.
        trace: takes the operations of every inference, with their times; None: they go untimed.
    """

    def __init__(
        self,
        precision: str,
        threads: int | None,
        cache: Cache,
        key: Mapping[str, str],
        trace: list[Node] | None = None,
    ) -> None:
        self._cache = cache
        self._trace = trace
        self._options = {
            "INFERENCE_PRECISION_HINT": _HINT[precision],
            "PERFORMANCE_HINT": "LATENCY",
        }
        if threads is not None:
            self._options["INFERENCE_NUM_THREADS"] = str(threads)
        if trace is not None:
            self._options["PERF_COUNT"] = "YES"
        self._key = dict(key) | {
            "precision": precision,
            "threads": str(threads),
            "program": program(),
            "engine": ov.get_version(),
        }

    def request(self, name: str, write: Callable[[], Any], *, is_kept: bool = True) -> Request:
        """Compile a model, or take it from the cache, and prepare to run it; see `compiled`."""
        return Request(self.compiled(name, write, is_kept=is_kept), self._trace)

    def compiled(self, name: str, write: Callable[[], Any], *, is_kept: bool = True) -> Any:
        """Compile a model, or take it from the cache.

        Args:
            name: of the graph and all its shapes.
            write: makes the model.
            is_kept: worth keeping for the next start.

        Raises:
            EngineFailedError: it does not compile.
        """
        key = self._key | {"graph": name}
        with translated(f"compiling {name}"):
            compiled = self._imported(key) if is_kept else None
            if compiled is None:
                compiled = core().compile_model(write(), "CPU", self._options)
                if is_kept:
                    file = io.BytesIO()
                    compiled.export_model(file)
                    self._cache.write(_KIND, key, file.getvalue())
            return compiled

    def _imported(self, key: Mapping[str, str]) -> Any:
        content = self._cache.read(_KIND, key)
        if content is None:
            return None
        try:
            return core().import_model(io.BytesIO(content), "CPU", self._options)
        except RuntimeError:  # of another build of the same version
            self._cache.remove(_KIND, key)
            return None


class Request:
    """An inference request with memory of its own for what goes in; results are copied out.

    Args:
        compiled: the model.
        trace: takes the operations of every inference.
    """

    def __init__(self, compiled: Any, trace: list[Node] | None = None) -> None:
        self._trace = trace
        self._request = compiled.create_infer_request()
        tensors = [ov.Tensor(port.element_type, port.shape) for port in compiled.inputs]
        for n, tensor in enumerate(tensors):
            self._request.set_input_tensor(n, tensor)
        self.inputs = [_bits(tensor.data) for tensor in tensors]

    def run(self) -> list[Array]:
        """Infer from what stands in `inputs`; new arrays.

        Raises:
            EngineFailedError: the runtime failed.
        """
        with translated("inference"):
            self._request.infer()
            if self._trace is not None:
                self._trace += [
                    Node(one.node_name, one.node_type, one.real_time.total_seconds())
                    for one in self._request.profiling_info
                ]
        return [_bits(tensor.data).copy() for tensor in self._request.output_tensors]


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn OpenVINO's errors into ours."""
    try:
        yield
    except RuntimeError as err:
        raise EngineFailedError(f"OpenVINO failed at {what}: {err}") from err


def _bits(values: Array) -> Array:
    """Values NumPy can copy: bfloat16, which it does not know, as 16 bits."""
    return values if values.dtype in (np.uint8, np.float32) else values.view(np.uint16)

"""The causal network as TensorFlow graphs: one for a stream's first window, one for all later ones.

In: plain arrays from `fuse`. Out: `TensorFlowCausalGraphs`. Invariant: shapes are fixed by the
first call with a batch and picture size, and a stream never traces again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from model import spec
from model.causal import POSITIONS, kept_slices
from model.classifier import Clips
from model.engines.graph import _padded, _weights
from model.fuse import FusedBlock, FusedConv, FusedNetwork

Values = dict[str, Any]


class TensorFlowCausalGraphs:
    def __init__(self, network, score_kernel, score_bias, precision, frames, per=None):
        self._network = network
        self._precision = precision
        self._kept = kept_slices(frames)
        self._head = [_weights(a) for a in (network.head_kernel, network.head_bias, score_kernel, score_bias)]
        self._graphs = {}

    def first(self, clips):
        return self._call(clips, [])

    def step(self, frames, streams):
        return self._call(frames, streams)

    def n_bytes(self, value):
        return int(value.shape.num_elements() * value.dtype.size)

    def _call(self, frames, streams):
        key = (bool(streams), *frames.shape)
        flat = [v for own in streams for v in own]
        tensors = (tf.constant(frames), *flat)
        if key not in self._graphs:
            def run(frames, *flat):
                k = len(self._kept)
                streams = [flat[i:i + k] for i in range(0, len(flat), k)]
                past = {}
                if streams:
                    past = {n: tf.concat(v, 0) if len(v) > 1 else v[0] for n, v in zip(self._kept, zip(*streams))}
                kept = {}
                s, e = self._run(frames, past, kept)
                vals = [tf.split(kept[n], frames.shape[0]) for n in self._kept]
                return s, e, list(zip(*vals))
            specs = [tf.TensorSpec(t.shape, t.dtype) for t in tensors]
            self._graphs[key] = tf.function(run, autograph=False).get_concrete_function(*specs)
        return self._graphs[key](*tensors)

    def _run(self, frames, past, kept):
        out = tf.cast(frames, self._precision)
        for conv in self._network.stem:
            out = self._over_time(out, conv, past, kept)
        out = tf.nn.max_pool3d(out, spec.POOL, spec.POOL, "SAME")
        for block in self._network.blocks:
            feature = self._over_time(_convolve(out, block.bottleneck), block.feature, past, kept)
            now = tf.nn.avg_pool3d(out, (1, 2, 2), (1, *block.strides, 1), "SAME")
            name = f"{block.name}/average"
            old = past[name] if past else now[:, :1]
            kept[name] = now[:, -1:]
            average = (now + tf.concat([old, now[:, :-1]], 1)) / 2
            out = _convolve(tf.concat([feature, average], -1), block.merge)
        pooled = tf.reduce_mean(tf.cast(out, tf.float32), (2, 3))
        if past:
            pooled = tf.concat([past[POSITIONS], pooled], 1)
        pooled = kept[POSITIONS] = pooled[:, -self._kept[POSITIONS]:]
        e = tf.matmul(tf.reduce_mean(pooled, 1), self._head[0]) + self._head[1]
        return tf.sigmoid(tf.matmul(e, self._head[2]) + self._head[3]), e

    def _over_time(self, x, conv, past, kept):
        n = self._kept[conv.name]
        def stacked(x):
            if past:
                x = tf.concat([past[conv.name], x], 1)
            else:
                x = tf.pad(x, [(0, 0), (n, 0), (0, 0), (0, 0), (0, 0)])
            kept[conv.name] = x[:, -n:]
            return x
        return _convolve(x, conv, stacked)


def _convolve(x, conv, stacked=None):
    t, h, w = conv.strides
    halves = [(1, h, w), (t, 1, 1)] if len(conv.kernels) == 2 else [conv.strides]
    for kernel, strides in zip(conv.kernels, halves, strict=True):
        if kernel.shape[0] > 1:
            x = stacked(x)
            sides = [(0, 0), (0, 0)]
            for a in (1, 2):
                l, k, s = x.shape[a + 1], kernel.shape[a], strides[a]
                tot = max((-(-l // s) - 1) * s + k - l, 0)
                sides.append((tot // 2, tot - tot // 2))
            if any(map(any, sides)):
                x = tf.pad(x, [*sides, (0, 0)])
            pad = "VALID"
        else:
            pad = "SAME"
        x = tf.nn.conv3d(x, _weights(kernel, x.dtype), (1, *strides, 1), pad)
    return tf.nn.relu(tf.nn.bias_add(x, _weights(conv.bias, x.dtype)))

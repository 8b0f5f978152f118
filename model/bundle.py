"""A model as one thing: its weights and everything the pipeline must know to feed it.

In: the name of a built-in bundle or the folder of another, holding `manifest.json` and
`weights.npz`. Out: a verified `Bundle`, or `BundleError` in one sentence that names both sides.
Invariants: sizes are limited before anything is read, nothing pickled or executable is ever loaded,
every array has the name and shape the network asks for and is finite. Importable without any
engine.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from model import labels, spec
from model.errors import BundleError

MANIFEST, WEIGHTS = "manifest.json", "weights.npz"
MANIFEST_BYTES, WEIGHTS_BYTES = 1 << 20, 48 << 20
"""Largest files that are read; the float32 weights with 256 labels take 18.4 MB."""
UNTRAINED_SEED = 162

Array = npt.NDArray[np.float32]
Label = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]


class Manifest(BaseModel):
    """What a bundle says about itself."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    format: Literal[1] = 1
    """Version of this file's layout."""
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    """Name of the bundle, shown with every prediction."""
    version: str = Field("1", max_length=32)
    """Version of the weights, for people."""
    is_trained: bool
    """Scores mean something; without it no score raises an event."""
    labels: tuple[Label, ...] = Field(min_length=1, max_length=256)
    """Names of the K scores, in order."""
    units: int = Field(spec.UNITS, ge=1, le=4096)
    """Length E of the embedding."""
    frames: int = Field(spec.FRAMES, ge=4, le=128)
    """Frames in a window."""
    size_px: int = Field(spec.SIZE_PX, ge=32, le=512)
    """Side of the square pictures."""
    temporal_padding: spec.TemporalPadding = "same"
    """Form of the network the weights were trained in."""
    pixel_scale: float = Field(spec.PIXEL_SCALE, gt=0, le=1)
    """Preprocessing: RGB bytes times this."""
    analysis_fps: float = Field(gt=0, le=120)
    """Frames per second of the sampled sequence."""
    hop: int = Field(ge=1, le=128)
    """Frames between two windows."""
    weights_sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$")
    """Of weights.npz; empty only in a manifest that is not saved yet."""

    @field_validator("labels")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("must not name a label twice")
        return value


@dataclass(frozen=True, slots=True)
class Bundle:
    """A manifest with its weights.

    Attributes:
        manifest: facts.
        weights: of the network, by the names of `spec.weight_shapes`; float32, not to be modified.
        score_kernel: float32 (E, K), the linear layer from embedding to scores.
        score_bias: float32 (K,).
        sha256: of all weights, hexadecimal.
    """

    manifest: Manifest
    weights: Mapping[str, Array]
    score_kernel: Array
    score_bias: Array
    sha256: str


UNTRAINED = Manifest(
    name="untrained", version="0", is_trained=False, labels=labels.LABELS, analysis_fps=10.0, hop=8
)
"""The built-in bundle: weights from a fixed seed; it proves the machinery and its scores mean
nothing."""


def load_manifest(name_or_path: str) -> Manifest:
    """Read what a bundle says about itself, without its weights.

    Raises:
        BundleError: there is no such bundle, or its manifest is damaged.
    """
    return UNTRAINED if name_or_path == UNTRAINED.name else _read_manifest(_folder(name_or_path))


def load_bundle(name_or_path: str) -> Bundle:
    """Load and verify a bundle.

    Args:
        name_or_path: `untrained`, or a folder.

    Raises:
        BundleError: there is no such bundle, or a part of it is damaged or does not fit the
        network.
    """
    if name_or_path == UNTRAINED.name:
        return untrained_bundle()
    folder = _folder(name_or_path)
    manifest = _read_manifest(folder)
    content = _read_limited(folder / WEIGHTS, WEIGHTS_BYTES)
    found = hashlib.sha256(content).hexdigest()
    if found != manifest.weights_sha256:
        raise BundleError(
            f"{folder / WEIGHTS}: sha256 is {found[:12]}..., {MANIFEST} says"
            f" {manifest.weights_sha256[:12] or 'nothing'}...; fetch the bundle again"
        )
    try:
        arrays = dict(_read_arrays(content, _array_shapes(manifest)))
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as err:
        raise BundleError(f"{folder / WEIGHTS}: {err}") from err
    return _bundle(manifest, arrays)


def untrained_bundle(manifest: Manifest = UNTRAINED) -> Bundle:
    """Make weights from a fixed seed, for any shape a manifest asks for."""
    return _bundle(manifest, _untrained_arrays(manifest))


def save_bundle(bundle: Bundle, folder: Path) -> Manifest:
    """Write a bundle as a folder, the manifest last: a half-written folder is refused.

    Returns:
        The manifest as written, with the hash of the weights file.

    Raises:
        BundleError: the folder cannot be written.
    """
    buffer = io.BytesIO()
    arrays = {
        **bundle.weights,
        "scores/kernel": bundle.score_kernel,
        "scores/bias": bundle.score_bias,
    }
    np.savez(buffer, allow_pickle=False, **{name: np.asarray(a) for name, a in arrays.items()})
    digest = hashlib.sha256(buffer.getbuffer()).hexdigest()
    manifest = bundle.manifest.model_copy(update={"weights_sha256": digest})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)
        (folder / WEIGHTS).write_bytes(buffer.getbuffer())
        (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    except OSError as err:
        raise BundleError(f"bundle folder {folder} cannot be written: {err.strerror}") from err
    return manifest


def golden_clip(frames: int, size: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Draw a clip that is the same everywhere: a bright square crosses a noisy picture.

    Returns:
        uint8 (frames, size, size, 3).
    """
    rng = np.random.default_rng(seed)
    clip = np.broadcast_to(rng.integers(0, 160, (size, size, 3)), (frames, size, size, 3)).astype(
        np.uint8
    )
    side, (top, left) = max(size // 4, 1), rng.integers(0, size // 2, 2)
    for index in range(frames):
        shift = left + index * (size // 2) // frames
        clip[index, top : top + side, shift : shift + side] = rng.integers(192, 256, 3)
    return clip


def _folder(name_or_path: str) -> Path:
    folder = Path(name_or_path)
    if not folder.is_dir():
        raise BundleError(
            f"bundle {name_or_path!r} is neither built in ({UNTRAINED.name})"
            f" nor a folder with {MANIFEST}"
        )
    return folder


def _read_limited(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > limit:
                raise BundleError(f"{path} has {size} bytes, at most {limit} are read")
            return file.read(limit)
    except OSError as err:
        raise BundleError(f"{path} cannot be read: {err.strerror}") from err


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(_read_limited(path, MANIFEST_BYTES))
    except ValidationError as err:
        first = err.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "content"
        shown = json.dumps(first["input"], default=str)[:60]
        raise BundleError(f"{path}: {key}: {first['msg']}, got {shown}") from err


def _array_shapes(manifest: Manifest) -> dict[str, tuple[int, ...]]:
    n_labels = len(manifest.labels)
    scores = {"scores/kernel": (manifest.units, n_labels), "scores/bias": (n_labels,)}
    return spec.weight_shapes(manifest.units) | scores


def _read_arrays(
    content: bytes, shapes: Mapping[str, tuple[int, ...]]
) -> Iterator[tuple[str, Array]]:
    """Yield the arrays of an npz, each read only after its header shows the expected shape."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.namelist()
        expected = {f"{name}.npy" for name in shapes}
        if differing := sorted(expected.symmetric_difference(members)):
            side = "lacks" if differing[0] in expected else "holds the unknown"
            raise ValueError(f"{side} array {differing[0]}")
        if len(members) != len(expected):
            raise ValueError("holds an array twice")
        for name, shape in shapes.items():
            with archive.open(f"{name}.npy") as file:
                yield name, _read_array(name, file, shape)


def _read_array(name: str, file: IO[bytes], shape: tuple[int, ...]) -> Array:
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError(f"{name}: npy version 1.0 is read, not another")
    found, is_fortran, dtype = np.lib.format.read_array_header_1_0(file)
    if found != shape or is_fortran or dtype not in (np.dtype("<f4"), np.dtype("<f2")):
        raise ValueError(
            f"{name}: has {found} {dtype}, the network needs {shape} float32 or float16"
        )
    n_bytes = int(np.prod(shape)) * dtype.itemsize
    data = file.read(n_bytes + 1)
    if len(data) != n_bytes:
        raise ValueError(f"{name}: has {len(data)} bytes of data, its header says {n_bytes}")
    return np.frombuffer(data, dtype).reshape(shape).astype(np.float32)


def _bundle(manifest: Manifest, arrays: dict[str, Array]) -> Bundle:
    digest = hashlib.sha256()
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise BundleError(f"bundle {manifest.name}: {name} holds a number that is not finite")
        if name.endswith("moving_variance") and (array < 0).any():
            raise BundleError(f"bundle {manifest.name}: {name} holds a negative variance")
        digest.update(array.tobytes())
    kernel, bias = arrays.pop("scores/kernel"), arrays.pop("scores/bias")
    return Bundle(manifest, arrays, kernel, bias, digest.hexdigest())


def _untrained_arrays(manifest: Manifest) -> dict[str, Array]:
    """Random weights whose activations neither vanish nor grow, with non-trivial statistics."""
    rng = np.random.default_rng(UNTRAINED_SEED)
    arrays = {}
    for name, shape in _array_shapes(manifest).items():
        part = name.rsplit("/", 1)[1]
        if part == "kernel":
            # ReLU halves the power after a temporal half; small score weights keep scores near 1/2.
            gain = 2.0 if "temporal" in name else 0.01 if "scores" in name else 1.0
            array = rng.standard_normal(shape) * np.sqrt(gain / np.prod(shape[:-1]))
        elif part in ("gamma", "moving_variance"):
            array = rng.uniform(0.7, 1.3, shape)
        else:
            array = rng.normal(0.0, 0.1, shape)
        arrays[name] = array.astype(np.float32)
    return arrays

"""A model as one thing: its weights and everything the pipeline must know to feed it.

In: the name of a bundle of this package, or the folder or zip of another, holding `manifest.json`
and `weights.npz`. Out: a verified `Bundle`, calibration folded into its score layer, or
`BundleError` in one sentence that names both sides. Invariants: nothing pickled or executable is
ever loaded; every array has the name and shape the network asks for and is finite; the weights
compute what they computed when they were saved (`golden`). Importable without any engine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from model import labels, spec
from model.archive import (
    ARRAY_SLACK_BYTES,
    DAMAGED,
    Array,
    read_arrays,
    read_part,
    write_arrays,
    write_zip,
)
from model.errors import BundleError
from model.golden import check_weights, golden_clip, golden_of
from model.manifest import Calibration, Golden, Manifest, Threshold

__all__ = [
    "Bundle",
    "Calibration",
    "Golden",
    "Manifest",
    "Threshold",
    "golden_clip",
    "load_bundle",
    "load_manifest",
    "save_bundle",
    "untrained_bundle",
]

MANIFEST, WEIGHTS, CARD = "manifest.json", "weights.npz", "MODEL_CARD.md"
PARTS = (MANIFEST, WEIGHTS, CARD)
SHELF = Path(__file__).parent / "bundles"
"""Bundles that come with this package, a folder each."""

MANIFEST_BYTES, CARD_BYTES = 1 << 20, 1 << 20
"""Largest files that are read; that of the weights follows from the shapes in the manifest."""
UNTRAINED_SEED = 162


@dataclass(frozen=True, slots=True)
class Bundle:
    """A manifest with its weights.

    Attributes:
        manifest: facts.
        weights: of the network, by the names of `spec.weight_shapes`; float32, not to be modified.
        score_kernel: float32 (E, K), the linear layer from embedding to calibrated logits.
        score_bias: float32 (K,).
        sha256: of all weights as they are used, hexadecimal.
        trained_scores: kernel and bias before calibration; None: the same.
    """

    manifest: Manifest
    weights: Mapping[str, Array]
    score_kernel: Array
    score_bias: Array
    sha256: str
    trained_scores: tuple[Array, Array] | None = None

    def with_facts(self, **changes: Any) -> Bundle:
        """The same weights with other facts; a new calibration replaces the old one.

        Args:
            changes: fields of `Manifest`.

        Raises:
            BundleError: the facts do not go together.
        """
        facts = self.manifest.model_dump() | {"format": 2, "golden": None} | changes
        try:
            manifest = Manifest.model_validate(facts)
        except ValidationError as err:
            raise BundleError(f"bundle {self.manifest.name}: {_complaint(err)}") from err
        return make_bundle(manifest, self.weights, *self._trained())

    def _trained(self) -> tuple[Array, Array]:
        return self.trained_scores or (self.score_kernel, self.score_bias)


UNTRAINED = Manifest(
    name="untrained", version="0", is_trained=False, labels=labels.LABELS, analysis_fps=10.0, hop=8
)
"""Weights from a fixed seed; they prove the machinery and their scores mean nothing."""


def bundle_names(shelf: Path = SHELF) -> list[str]:
    """Name the bundles that come with this package."""
    return [*sorted(path.parent.name for path in shelf.glob(f"*/{MANIFEST}")), UNTRAINED.name]


def locate(name_or_path: str, shelf: Path = SHELF) -> Path:
    """Return the folder or zip of a bundle; a name of this package wins over a path.

    Raises:
        BundleError: there is no such bundle.
    """
    if name_or_path in bundle_names(shelf):
        return shelf / name_or_path
    path = Path(name_or_path)
    if not (path.is_dir() or (path.is_file() and path.suffix == ".zip")):
        raise BundleError(
            f"bundle {name_or_path!r} is neither built in ({', '.join(bundle_names(shelf))})"
            f" nor a folder with {MANIFEST}, nor a zip of one"
        )
    return path


def load_manifest(name_or_path: str, shelf: Path = SHELF) -> Manifest:
    """Read what a bundle says about itself, without its weights.

    Raises:
        BundleError: there is no such bundle, or its manifest is damaged.
    """
    path = locate(name_or_path, shelf)
    return UNTRAINED if name_or_path == UNTRAINED.name else _read_manifest(path)


def load_bundle(name_or_path: str, shelf: Path = SHELF) -> Bundle:
    """Load and verify a bundle.

    Args:
        name_or_path: a name of this package, or a folder or zip.
        shelf: folder of the bundles of this package.

    Raises:
        BundleError: there is no such bundle, or a part of it is damaged or does not fit the
        network.
    """
    path = locate(name_or_path, shelf)
    if name_or_path == UNTRAINED.name:
        return untrained_bundle()
    manifest = _read_manifest(path)
    shapes = _array_shapes(manifest)
    content = read_part(path, WEIGHTS, PARTS, _most_bytes(shapes))
    found = hashlib.sha256(content).hexdigest()
    if found != manifest.weights_sha256:
        raise BundleError(
            f"{path / WEIGHTS}: sha256 is {found[:12]}..., {MANIFEST} says"
            f" {manifest.weights_sha256[:12] or 'nothing'}...; fetch the bundle again"
        )
    try:
        arrays = dict(read_arrays(content, shapes))
    except DAMAGED as err:
        raise BundleError(f"{path / WEIGHTS}: {err}") from err
    bundle = _from_arrays(manifest, arrays)
    check_weights(manifest, bundle.weights, bundle.score_kernel, bundle.score_bias)
    return bundle


def untrained_bundle(manifest: Manifest = UNTRAINED) -> Bundle:
    """Make weights from a fixed seed, for any shape a manifest asks for."""
    return _from_arrays(manifest, _untrained_arrays(manifest))


def make_bundle(
    manifest: Manifest, weights: Mapping[str, Array], score_kernel: Array, score_bias: Array
) -> Bundle:
    """Put a bundle together and fold its calibration.

    Args:
        manifest: facts.
        weights: float32, by the names of `spec.weight_shapes`; kept, not to be modified.
        score_kernel: float32 (E, K), as trained.
        score_bias: float32 (K,), as trained.

    Raises:
        BundleError: an array is missing, has another shape or holds what is no weight.
    """
    arrays = {**weights, "scores/kernel": score_kernel, "scores/bias": score_bias}
    shapes = {name: array.shape for name, array in arrays.items()}
    for name, shape in _array_shapes(manifest).items():
        if shapes.pop(name, None) != shape:
            found = arrays[name].shape if name in arrays else "not there"
            raise BundleError(f"bundle {manifest.name}: {name} is {found}, must be {shape}")
    if shapes:
        raise BundleError(f"bundle {manifest.name}: {min(shapes)} is no array of the network")
    return _from_arrays(manifest, arrays)


def save_bundle(bundle: Bundle, path: Path, dtype: npt.DTypeLike = np.float32) -> Manifest:
    """Write a bundle with its golden scores: a folder, or one file where the path ends in .zip.

    In a folder the manifest is written last: a half-written one is refused. A model card that is
    there already stays.

    Args:
        bundle: as trained or loaded.
        path: folder or file.
        dtype: of the kernels on disk, float32 or float16.

    Returns:
        The manifest as written, with the hash of the weights file.

    Raises:
        BundleError: it cannot be written, or the weights do not survive float16.
    """
    kernel, bias = bundle.trained_scores or (bundle.score_kernel, bundle.score_bias)
    arrays = {**bundle.weights, "scores/kernel": kernel, "scores/bias": bias}
    with np.errstate(over="ignore"):
        content = write_arrays(arrays, dtype)
    # What will be loaded is what is judged: rounding belongs to the weights.
    facts = bundle.manifest
    stored = _from_arrays(facts, dict(read_arrays(content, _array_shapes(facts))))
    layer = stored.score_kernel, stored.score_bias
    changes = {
        "format": 2,
        "weights_sha256": hashlib.sha256(content).hexdigest(),
        # Seconds at 256 px, and nobody relies on noise.
        "golden": golden_of(facts, stored.weights, *layer) if facts.is_trained else None,
    }
    manifest = facts.model_copy(update=changes)
    text = manifest.model_dump_json(indent=2).encode() + b"\n"
    try:
        if path.suffix == ".zip":
            write_zip(path, {MANIFEST: text, WEIGHTS: content})
        else:
            path.mkdir(parents=True, exist_ok=True)
            (path / MANIFEST).unlink(missing_ok=True)
            (path / WEIGHTS).write_bytes(content)
            (path / MANIFEST).write_bytes(text)
    except OSError as err:
        raise BundleError(f"bundle {path} cannot be written: {err.strerror}") from err
    return manifest


def pack_bundle(name_or_path: str, file: Path) -> None:
    """Check a bundle and write its parts, byte by byte, as one zip.

    Raises:
        BundleError: it is damaged, or the file cannot be written.
    """
    manifest = load_bundle(name_or_path).manifest
    path = locate(name_or_path)
    if manifest.name == UNTRAINED.name and not path.exists():
        raise BundleError(f"bundle {UNTRAINED.name} is made when it is needed; there are no files")
    limits = {MANIFEST: MANIFEST_BYTES, WEIGHTS: _most_bytes(_array_shapes(manifest))}
    if (path / CARD).is_file():
        limits[CARD] = CARD_BYTES
    try:
        write_zip(file, {part: read_part(path, part, PARTS, n) for part, n in limits.items()})
    except OSError as err:
        raise BundleError(f"bundle {file} cannot be written: {err.strerror}") from err


def _read_manifest(path: Path) -> Manifest:
    try:
        return Manifest.model_validate_json(read_part(path, MANIFEST, PARTS, MANIFEST_BYTES))
    except ValidationError as err:
        raise BundleError(f"{path / MANIFEST}: {_complaint(err)}") from err


def _complaint(err: ValidationError) -> str:
    first = err.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"]) or "content"
    shown = json.dumps(first["input"], default=str)[:60]
    return f"{key}: {first['msg']}, got {shown}"


def _array_shapes(manifest: Manifest) -> dict[str, tuple[int, ...]]:
    n_labels = len(manifest.labels)
    scores = {"scores/kernel": (manifest.units, n_labels), "scores/bias": (n_labels,)}
    return spec.weight_shapes(manifest.units) | scores


def _most_bytes(shapes: Mapping[str, tuple[int, ...]]) -> int:
    return sum(4 * int(np.prod(shape)) + ARRAY_SLACK_BYTES for shape in shapes.values())


def _from_arrays(manifest: Manifest, arrays: dict[str, Array]) -> Bundle:
    """Check values, fold the calibration."""
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise BundleError(f"bundle {manifest.name}: {name} holds a number that is not finite")
        if name.endswith("moving_variance") and (array < 0).any():
            raise BundleError(f"bundle {manifest.name}: {name} holds a negative variance")
    trained = arrays.pop("scores/kernel"), arrays.pop("scores/bias")
    kernel, bias = _calibrated(manifest, *trained)
    digest = hashlib.sha256()
    for array in (*arrays.values(), kernel, bias):
        digest.update(array.tobytes())
    digest.update(b"" if manifest.activation == "sigmoid" else manifest.activation.encode())
    return Bundle(manifest, arrays, kernel, bias, digest.hexdigest(), trained)


def _calibrated(manifest: Manifest, kernel: Array, bias: Array) -> tuple[Array, Array]:
    """Put scale and bias of each label's logit into the layer that makes it."""
    if not manifest.calibration:
        return kernel, bias
    lines = [manifest.calibration.get(label, Calibration()) for label in manifest.labels]
    scale = np.array([line.scale for line in lines])
    shift = np.array([line.bias for line in lines])
    return (kernel * scale).astype(np.float32), (bias * scale + shift).astype(np.float32)


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

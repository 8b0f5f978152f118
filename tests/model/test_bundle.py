"""Bundles: the built-in one, the way to disk and back, and everything that must be refused."""

from __future__ import annotations

import hashlib
import io
import json
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model import spec
from model.bundle import (
    MANIFEST,
    UNTRAINED,
    WEIGHTS,
    Bundle,
    Manifest,
    load_bundle,
    load_manifest,
    save_bundle,
)
from model.errors import BundleError
from model.labels import LABELS


@pytest.fixture
def folder(small_bundle: Bundle, tmp_path: Path) -> Path:
    """A good bundle on disk."""
    save_bundle(small_bundle, tmp_path / "bundle")
    return tmp_path / "bundle"


def edit_manifest(folder: Path, **changes: Any) -> None:
    path = folder / MANIFEST
    content = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps(content), encoding="utf-8")


def replace_weights(folder: Path, content: bytes) -> None:
    """Put other bytes in place, with a manifest that vouches for them."""
    (folder / WEIGHTS).write_bytes(content)
    edit_manifest(folder, weights_sha256=hashlib.sha256(content).hexdigest())


def edit_arrays(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    with np.load(folder / WEIGHTS, allow_pickle=False) as stored:
        arrays = dict(stored)
    change(arrays)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    replace_weights(folder, buffer.getvalue())


def refusal(folder: Path) -> str:
    """The one sentence a damaged bundle is refused with."""
    with pytest.raises(BundleError) as refused:
        load_bundle(str(folder))
    message = str(refused.value)
    assert "\n" not in message
    assert folder.name in message or "small" in message
    return message


def test_the_built_in_bundle_is_marked_untrained() -> None:
    """It has the full shape of the network and the labels of the issue; its scores mean nothing."""
    bundle = load_bundle("untrained")
    assert bundle.manifest == load_manifest("untrained") == UNTRAINED
    assert not bundle.manifest.is_trained
    assert bundle.manifest.labels == LABELS
    assert {k: v.shape for k, v in bundle.weights.items()} == spec.weight_shapes()
    assert bundle.score_kernel.shape == (256, 11)


def test_the_built_in_weights_are_the_same_every_time() -> None:
    """The seed is fixed: same hash in every process."""
    assert load_bundle("untrained").sha256 == load_bundle("untrained").sha256


def test_statistics_of_the_built_in_bundle_are_not_trivial() -> None:
    """Verification on it proves that BatchNorm is folded rightly."""
    weights = load_bundle("untrained").weights
    for part in ("gamma", "beta", "moving_mean", "moving_variance"):
        assert weights[f"block2/feature/norm/{part}"].std() > 0.05


def test_a_saved_bundle_comes_back_bit_equal(small_bundle: Bundle, folder: Path) -> None:
    """All arrays, all facts, and the hash that names the weights."""
    loaded = load_bundle(str(folder))
    assert loaded.sha256 == small_bundle.sha256
    expected = small_bundle.manifest.model_copy(
        update={"weights_sha256": loaded.manifest.weights_sha256}
    )
    assert loaded.manifest == expected == load_manifest(str(folder))
    for name, array in small_bundle.weights.items():
        np.testing.assert_array_equal(loaded.weights[name], array)
    np.testing.assert_array_equal(loaded.score_kernel, small_bundle.score_kernel)


def test_saving_is_deterministic(small_bundle: Bundle, tmp_path: Path) -> None:
    """The same bundle gives the same bytes."""
    first, second = (save_bundle(small_bundle, tmp_path / name) for name in ("a", "b"))
    assert first == second


def test_half_precision_weights_are_read(folder: Path, small_bundle: Bundle) -> None:
    """A bundle may be stored at half the size; the network still gets float32."""

    def halve(arrays: dict[str, Any]) -> None:
        arrays.update({name: array.astype(np.float16) for name, array in arrays.items()})

    edit_arrays(folder, halve)
    loaded = load_bundle(str(folder)).weights["stem/conv/spatial/kernel"]
    assert loaded.dtype == np.float32
    np.testing.assert_allclose(
        loaded, small_bundle.weights["stem/conv/spatial/kernel"], rtol=1e-3, atol=1e-4
    )


def test_an_unknown_name_says_what_there_is() -> None:
    """One sentence with the name and the built-in ones."""
    with pytest.raises(BundleError, match=r"'motion-x' is neither built in \(.*untrained\) nor"):
        load_bundle("motion-x")
    with pytest.raises(BundleError, match="'motion-x'"):
        load_manifest("motion-x")


def test_a_file_instead_of_a_folder_is_refused(tmp_path: Path) -> None:
    """A path must be the folder itself."""
    path = tmp_path / "weights.npz"
    path.write_bytes(b"")
    with pytest.raises(BundleError, match="nor a folder"):
        load_bundle(str(path))


@pytest.mark.parametrize("name", [MANIFEST, WEIGHTS])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    """Either half alone is no bundle."""
    (folder / name).unlink()
    assert name in refusal(folder)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"format": 3}, "format"),
        ({"hop": 0}, "hop"),
        ({"frames": "many"}, "frames"),
        ({"size_px": 100_000}, "size_px"),
        ({"labels": []}, "labels"),
        ({"labels": ["up", "up"]}, "twice"),
        ({"labels": ["Up!"]}, "labels.0"),
        ({"surprise": 1}, "surprise"),
        ({"analysis_fps": float("nan")}, "analysis_fps"),
    ],
)
def test_a_wrong_manifest_is_refused_by_key(
    folder: Path, changes: dict[str, Any], named: str
) -> None:
    """The message names the key."""
    edit_manifest(folder, **changes)
    assert named in refusal(folder)


def test_a_manifest_that_is_no_json_is_refused(folder: Path) -> None:
    """Whatever else it may be."""
    (folder / MANIFEST).write_bytes(b"\x80\x04pickle")
    assert MANIFEST in refusal(folder)


@pytest.mark.parametrize("at", [0, 1000, -1])
def test_a_flipped_bit_is_refused(folder: Path, at: int) -> None:
    """The hash covers every byte of the weights."""
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[at] ^= 1
    (folder / WEIGHTS).write_bytes(content)
    assert "sha256" in refusal(folder)


def test_truncated_weights_are_refused(folder: Path) -> None:
    """Even where a manifest vouches for what is left."""
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[: len(content) // 2])
    assert "sha256" in refusal(folder)
    replace_weights(folder, content[: len(content) // 2])
    assert WEIGHTS in refusal(folder)


def test_a_wrong_number_of_labels_names_both_sides(folder: Path) -> None:
    """Ten labels, weights for eleven."""
    edit_manifest(folder, labels=list(LABELS[:10]))
    message = refusal(folder)
    assert "(16, 11)" in message
    assert "(16, 10)" in message


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(folder: Path, value: float) -> None:
    """By the name of the array."""

    def poison(arrays: dict[str, Any]) -> None:
        arrays["block1/project/norm/beta"][3] = value

    edit_arrays(folder, poison)
    assert "block1/project/norm/beta" in refusal(folder)


def test_a_negative_variance_is_refused(folder: Path) -> None:
    """Its root would be no number."""

    def negate(arrays: dict[str, Any]) -> None:
        arrays["stem/norm/moving_variance"][0] = -1

    edit_arrays(folder, negate)
    assert "stem/norm/moving_variance" in refusal(folder)


def test_a_missing_and_an_unknown_array_are_named(folder: Path) -> None:
    """Nothing may be absent, nothing more may be there."""
    edit_arrays(folder, lambda arrays: arrays.update(extra=np.zeros(1, np.float32)))
    assert "unknown array extra.npy" in refusal(folder)

    def remove(arrays: dict[str, Any]) -> None:
        del arrays["extra"], arrays["head/bias"]

    edit_arrays(folder, remove)
    assert "lacks array head/bias.npy" in refusal(folder)


def test_pickled_content_is_never_loaded(folder: Path) -> None:
    """An object array would run code when read."""

    def plant(arrays: dict[str, Any]) -> None:
        arrays["head/bias"] = np.array([print] * 16, dtype=object)

    edit_arrays(folder, plant)
    assert "head/bias" in refusal(folder)


def test_a_bomb_is_refused_without_being_unpacked(folder: Path) -> None:
    """A member that claims 4 GB in 4 MB of zip costs neither time nor memory."""
    with zipfile.ZipFile(folder / WEIGHTS) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["head/bias.npy"] = _npy_header((1 << 30,)) + bytes(1 << 22)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    replace_weights(folder, buffer.getvalue())
    tracemalloc.start()
    started = time.perf_counter()
    message = refusal(folder)
    taken_s, (_, peak) = time.perf_counter() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "(1073741824,)" in message
    assert taken_s < 10
    assert peak < 64 << 20


def test_data_longer_than_its_header_is_refused(folder: Path) -> None:
    """Bytes behind the array are no part of it."""
    with zipfile.ZipFile(folder / WEIGHTS) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["head/bias.npy"] += b"more"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    replace_weights(folder, buffer.getvalue())
    assert "head/bias" in refusal(folder)


@pytest.mark.parametrize("name", [MANIFEST, WEIGHTS])
def test_a_giant_file_is_refused_before_it_is_read(folder: Path, name: str) -> None:
    """A sparse file of 1 TB: only its size is looked at."""
    with (folder / name).open("r+b") as file:
        file.truncate(1 << 40)
    assert "1099511627776 bytes" in refusal(folder)


def test_an_interrupted_save_leaves_no_bundle(small_bundle: Bundle, folder: Path) -> None:
    """The manifest is written last and removed first."""
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).mkdir()
    with pytest.raises(BundleError, match="cannot be written"):
        save_bundle(small_bundle, folder)
    assert not (folder / MANIFEST).exists()


def test_a_manifest_forgets_nothing_in_json() -> None:
    """What is written is what is read."""
    assert Manifest.model_validate_json(UNTRAINED.model_dump_json()) == UNTRAINED


def _npy_header(shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue()

"""Trained bundles: golden scores, calibration, one file, names of this package, and the cost of a
refusal."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.bundle import (
    CARD,
    MANIFEST,
    UNTRAINED,
    WEIGHTS,
    Bundle,
    bundle_names,
    load_bundle,
    load_manifest,
    locate,
    make_bundle,
    save_bundle,
    untrained_bundle,
)
from model.errors import BundleError
from model.manifest import Calibration
from tests.conftest import REPOSITORY


@pytest.fixture(scope="module")
def trained() -> Bundle:
    """8 frames of 32 px, said to be trained."""
    facts = {"frames": 8, "size_px": 32, "units": 16, "name": "small", "is_trained": True}
    return untrained_bundle(UNTRAINED.model_copy(update=facts))


@pytest.fixture
def folder(trained: Bundle, tmp_path: Path) -> Path:
    save_bundle(trained, tmp_path / "bundle")
    return tmp_path / "bundle"


def edit_arrays(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change arrays and have the manifest vouch for the file."""
    with np.load(folder / WEIGHTS, allow_pickle=False) as stored:
        arrays = dict(stored)
    change(arrays)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    (folder / WEIGHTS).write_bytes(buffer.getvalue())
    edit_manifest(folder, weights_sha256=hashlib.sha256(buffer.getvalue()).hexdigest())


def edit_manifest(folder: Path, **changes: Any) -> None:
    content = json.loads((folder / MANIFEST).read_text(encoding="utf-8")) | changes
    (folder / MANIFEST).write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("name", ["bundle", "bundle.zip"])
def test_a_folder_and_a_file_hold_the_same_bundle(
    trained: Bundle, tmp_path: Path, name: str, dtype: str
) -> None:
    """Golden scores are those of the weights as stored: kernels rounded, vectors as they were."""
    manifest = save_bundle(trained, tmp_path / name, dtype)
    assert manifest.golden is not None
    loaded = load_bundle(str(tmp_path / name))
    assert loaded.manifest == manifest == load_manifest(str(tmp_path / name))
    for array, expected in zip(loaded.weights.values(), trained.weights.values(), strict=True):
        stored = dtype if expected.ndim > 1 else "float32"
        np.testing.assert_array_equal(array, expected.astype(stored).astype(np.float32))


def test_weights_that_do_not_survive_half_precision_are_not_saved(
    trained: Bundle, tmp_path: Path
) -> None:
    """70000 is infinite there."""
    weights = dict(trained.weights)
    weights["head/kernel"] = weights["head/kernel"] + np.float32(70000)
    large = make_bundle(trained.manifest, weights, trained.score_kernel, trained.score_bias)
    with pytest.raises(BundleError, match="head/kernel holds a number that is not finite"):
        save_bundle(large, tmp_path / "bundle", "float16")
    assert not (tmp_path / "bundle").exists()


def test_swapped_arrays_are_refused(folder: Path) -> None:
    """Right names, right shapes, right hash, wrong network."""

    def swap(arrays: dict[str, Any]) -> None:
        one, two = "block3/project/norm/beta", "block3/shortcut/norm/gamma"
        arrays[one], arrays[two] = arrays[two], arrays[one]

    edit_arrays(folder, swap)
    with pytest.raises(BundleError, match=r"logit \S+ on the golden clip, the manifest says"):
        load_bundle(str(folder))


def test_golden_scores_of_another_bundle_are_refused(folder: Path) -> None:
    """The manifest of one, the weights of another."""
    golden = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["golden"]
    golden["logits"][0] += 0.5
    edit_manifest(folder, golden=golden)
    with pytest.raises(BundleError, match="they do not belong together"):
        load_bundle(str(folder))


def test_a_manifest_of_format_1_still_loads(folder: Path, trained: Bundle) -> None:
    """It has none of the newer keys."""
    old = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    keys = ("activation", "kinds", "calibration", "thresholds", "golden", "description")
    for key in (*keys, "licence", "metrics", "recipe", "seeds"):
        del old[key]
    (folder / MANIFEST).write_text(json.dumps(old | {"format": 1}), encoding="utf-8")
    assert load_bundle(str(folder)).sha256 == trained.sha256


def test_calibration_is_folded_into_the_score_layer(trained: Bundle, tmp_path: Path) -> None:
    """scale * logit + bias of each label, and its inverse is not needed to save it again."""
    lines = {"left": Calibration(scale=0.5, bias=-1.0), "camera": Calibration(scale=2.0)}
    bundle = trained.with_facts(calibration=lines)
    embedding = np.random.default_rng(1).standard_normal(16).astype(np.float32)
    before = embedding @ trained.score_kernel + trained.score_bias
    after = embedding @ bundle.score_kernel + bundle.score_bias
    expected = before * 1.0
    expected[0], expected[8] = 0.5 * before[0] - 1.0, 2.0 * before[8]
    np.testing.assert_allclose(after, expected, rtol=1e-5, atol=1e-6)
    assert bundle.sha256 != trained.sha256
    save_bundle(bundle, tmp_path / "b")
    again = load_bundle(str(tmp_path / "b"))
    np.testing.assert_array_equal(again.score_kernel, bundle.score_kernel)
    plain = again.with_facts(calibration={})
    np.testing.assert_array_equal(plain.score_kernel, trained.score_kernel)
    assert plain.sha256 == trained.sha256


def test_facts_that_do_not_go_together_are_refused(trained: Bundle) -> None:
    """As when they are read."""
    with pytest.raises(BundleError, match=r"bundle small: .*thresholds names 'other'"):
        trained.with_facts(thresholds={"other": {"on": 0.5}})


def test_a_bundle_is_made_of_exactly_the_arrays_of_the_network(trained: Bundle) -> None:
    """A missing, a strange and a misshapen array are named."""
    layer = trained.score_kernel, trained.score_bias
    weights = dict(trained.weights)
    with pytest.raises(BundleError, match="extra is no array"):
        make_bundle(trained.manifest, weights | {"extra": layer[1]}, *layer)
    with pytest.raises(BundleError, match=r"head/bias is \(11,\), must be \(16,\)"):
        make_bundle(trained.manifest, weights | {"head/bias": layer[1]}, *layer)
    del weights["head/bias"]
    with pytest.raises(BundleError, match="head/bias is not there"):
        make_bundle(trained.manifest, weights, *layer)


def test_bundles_of_the_package_are_found_by_name(trained: Bundle, tmp_path: Path) -> None:
    """A folder on the shelf is a name; whatever else it says, names and remedies are told."""
    save_bundle(trained, tmp_path / "motion-test")
    (tmp_path / "motion-test" / CARD).write_text("# A model\n", encoding="utf-8")
    assert bundle_names(tmp_path) == ["motion-test", "untrained"]
    assert load_bundle("motion-test", tmp_path).sha256 == trained.sha256
    assert locate("motion-test", tmp_path) == tmp_path / "motion-test"
    with pytest.raises(BundleError, match=r"neither built in \(motion-test, untrained\)"):
        load_manifest("motion-x", tmp_path)


def test_bundles_of_the_package_are_intact_small_and_described() -> None:
    """Whoever installs it gets them: 12 MB at most, with golden scores and a card."""
    for name in bundle_names()[:-1]:
        manifest = load_bundle(name).manifest
        assert (manifest.name, manifest.is_trained) == (name, True)
        assert manifest.golden is not None
        assert (locate(name) / CARD).read_text(encoding="utf-8").startswith("# ")
        sizes = [path.stat().st_size for path in locate(name).iterdir()]
        assert sum(sizes) <= 12_000_000


REFUSE = """
import sys, time, tracemalloc
from model.bundle import load_bundle
from model.errors import BundleError

def peak_bytes():  # of this program; getrusage also counts the one that started it
    with open("/proc/self/status") as lines:
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

tracemalloc.start()
started_s, before = time.process_time(), peak_bytes()
try:
    load_bundle(sys.argv[1])
    sentence = ""
except BundleError as err:
    sentence = str(err)
print(time.process_time() - started_s)
print(tracemalloc.get_traced_memory()[1])
print(peak_bytes() - before)
print(sentence)
"""


def bombed(folder: Path) -> None:
    """An array whose 40 GB are 40 MB of zip would do; its header is enough."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(folder / WEIGHTS) as archive,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for name in archive.namelist():
            is_it = name == "block3/project/conv/temporal/kernel.npy"
            bomb.writestr(name, bytes(200 << 20) if is_it else archive.read(name))
    (folder / WEIGHTS).write_bytes(buffer.getvalue())
    edit_manifest(folder, weights_sha256=hashlib.sha256(buffer.getvalue()).hexdigest())


def truncated(folder: Path) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[: len(content) // 2])


def flipped(folder: Path) -> None:
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[len(content) // 3] ^= 4
    (folder / WEIGHTS).write_bytes(content)


def poisoned(folder: Path) -> None:
    edit_arrays(folder, lambda arrays: arrays["scores/bias"].__setitem__(0, np.nan))


def miscounted(folder: Path) -> None:
    labels = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["labels"]
    edit_manifest(folder, labels=labels[:10], golden=None)


def mismatched(folder: Path) -> None:
    edit_arrays(folder, lambda arrays: arrays["scores/bias"].__iadd__(np.float32(0.1)))


@pytest.fixture(scope="module")
def full_size(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """18 MB of weights, the network as published, 32 frames of 64 px."""
    path = tmp_path_factory.mktemp("full") / "bundle"
    facts = {"size_px": 64, "is_trained": True, "name": "full"}
    save_bundle(untrained_bundle(UNTRAINED.model_copy(update=facts)), path)
    return path


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (truncated, "sha256"),
        (flipped, "sha256"),
        (poisoned, "scores/bias holds a number that is not finite"),
        (miscounted, "(256, 11)"),
        (mismatched, "golden clip"),
        (bombed, "block3/project/conv/temporal/kernel"),
    ],
)
def test_a_refusal_takes_two_seconds_and_64_megabytes_at_most(
    full_size: Path, tmp_path: Path, damage: Callable[[Path], None], named: str
) -> None:
    """In a process of its own, with the published network; the sentence is one line."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    for part in (MANIFEST, WEIGHTS):
        (folder / part).write_bytes((full_size / part).read_bytes())
    damage(folder)
    told = subprocess.run(
        [sys.executable, "-c", REFUSE, str(folder)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    ).stdout.splitlines()
    cpu_s, peak, grown = (float(line) for line in told[:3])
    assert len(told) == 4
    assert named in told[3]
    assert cpu_s <= 2.0
    assert peak <= 64 << 20
    assert 0 < grown <= 64 << 20

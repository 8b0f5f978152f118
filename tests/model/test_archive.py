"""Files and arrays of a bundle: what is read, and everything that is refused before it is."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from model.archive import DAMAGED, open_zip, read_arrays, read_part, write_arrays, write_zip
from model.errors import BundleError

PARTS = ("manifest.json", "weights.npz")
SHAPES = {"a/kernel": (2, 3), "a/bias": (3,)}


def arrays() -> dict[str, np.ndarray]:
    return {name: np.full(shape, 0.5, np.float32) for name, shape in SHAPES.items()}


def zip_of(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_arrays_come_back_as_float32(dtype: str) -> None:
    """Half precision is a way to store them."""
    content = write_arrays(arrays(), dtype)
    for name, array in read_arrays(content, SHAPES):
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, arrays()[name])


def test_the_same_arrays_give_the_same_bytes() -> None:
    """Hashes of bundles do not depend on the clock."""
    assert write_arrays(arrays(), "float32") == write_arrays(arrays(), "float32")


def test_a_part_is_read_from_a_folder_and_from_a_zip(tmp_path: Path) -> None:
    """Both are the same bundle."""
    (tmp_path / PARTS[0]).write_bytes(b"facts")
    write_zip(tmp_path / "b.zip", {PARTS[0]: b"facts"})
    for path in (tmp_path, tmp_path / "b.zip"):
        assert read_part(path, PARTS[0], PARTS, 5) == b"facts"
        with pytest.raises(BundleError, match="5 bytes, at most 4"):
            read_part(path, PARTS[0], PARTS, 4)
        with pytest.raises(BundleError, match=r"weights\.npz"):
            read_part(path, PARTS[1], PARTS, 5)


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "manifest.json/x", "extra"])
def test_a_zip_with_another_member_is_refused(tmp_path: Path, name: str) -> None:
    """A path out of the bundle is a stranger like any other."""
    path = zip_of(tmp_path / "b.zip", {"manifest.json": b"{}", name: b"x"})
    with pytest.raises(BundleError, match="a bundle is manifest"):
        read_part(path, PARTS[0], PARTS, 10)
    assert [file.name for file in tmp_path.iterdir()] == ["b.zip"]


def test_a_member_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    """A hundred megabytes of zeros are 100 kB of zip."""
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", bytes(100 << 20))
    tracemalloc.start()
    with pytest.raises(BundleError, match="104857600 bytes, at most 1000"):
        read_part(path, PARTS[0], PARTS, 1000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_a_directory_with_too_many_members_is_not_read(tmp_path: Path) -> None:
    """Reading it would take a kilobyte of memory a member."""
    path = zip_of(tmp_path / "b.zip", {f"{n}": b"" for n in range(1000)})
    with pytest.raises(BundleError, match="names 1000 members"):
        read_part(path, PARTS[0], PARTS, 10)


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip at all" * 10])
def test_what_is_no_zip_is_refused(tmp_path: Path, content: bytes) -> None:
    """Also when it is empty."""
    (tmp_path / "b.zip").write_bytes(content)
    with pytest.raises(BundleError, match="is no zip file"):
        read_part(tmp_path / "b.zip", PARTS[0], PARTS, 10)


def test_a_zip_that_hides_a_larger_directory_is_refused() -> None:
    """The 64-bit record would win over the small one that was looked at."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("manifest.json", b"{}")
    content = buffer.getvalue()
    end = content.rindex(b"PK\x05\x06")
    forged = content[:end] + b"PK\x06\x07" + bytes(16) + content[end:]
    with pytest.raises(zipfile.BadZipFile, match="members"):
        open_zip(io.BytesIO(forged), 2)


def test_a_password_is_refused(tmp_path: Path) -> None:
    """Whatever is behind it."""
    path = zip_of(tmp_path / "b.zip", {"manifest.json": b"{}"})
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"password|encrypted"):
        read_part(path, PARTS[0], PARTS, 10)


def test_any_flipped_byte_is_an_error_or_another_number() -> None:
    """Whatever damage does to a vouched-for file, it ends in a sentence, never in a crash."""
    content = write_arrays(arrays(), "float32")
    for at in range(len(content)):
        damaged = bytearray(content)
        damaged[at] ^= 0xFF
        try:
            found = dict(read_arrays(bytes(damaged), SHAPES))
        except DAMAGED:
            continue
        assert {name: array.shape for name, array in found.items()} == SHAPES

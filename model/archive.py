"""The files of a bundle, in a folder or in one zip, and the arrays in its weights; limits first.

In: a path and what is expected there. Out: bytes and arrays of exactly the expected names and
shapes. Nothing is ever unpacked to disk, so a member's path leads nowhere. Invariant: what is read
is limited before it is read: files by their size, zips by their directory, arrays by their header.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from model.errors import BundleError

Array = npt.NDArray[np.float32]

DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    ValueError,
    RuntimeError,  # a member that wants a password, or a compression that nobody knows
    EOFError,
)
"""What reading an untrusted zip or npy raises."""

ARRAY_SLACK_BYTES = 1024
"""An array's headers: npy, and the zip's own before and behind it."""

_END = struct.Struct("<4s4H2LH")
_END_MAGIC, _FAR_END_MAGIC = b"PK\x05\x06", b"PK\x06\x07"
_DIRECTORY_BYTES = 512
"""Of one member in a zip's directory."""
_STAMP = (1980, 1, 1, 0, 0, 0)


def read_part(path: Path, part: str, parts: Sequence[str], limit: int) -> bytes:
    """Read one file of a bundle.

    Args:
        path: folder, or a zip that holds nothing but some of `parts`.
        part: which.
        parts: all that may be there.
        limit: largest file that is read, bytes.

    Raises:
        BundleError: it is missing, too large or damaged, or the zip holds something else.
    """
    try:
        if path.is_dir():
            with (path / part).open("rb") as file:
                return _read(file, os.fstat(file.fileno()).st_size, limit, str(path / part))
        with path.open("rb") as file, open_zip(file, len(parts)) as archive:
            return _read_member(archive, part, parts, limit, str(path))
    except OSError as err:
        raise BundleError(f"{path / part} cannot be read: {err.strerror or err}") from err
    except DAMAGED as err:
        raise BundleError(f"{path}: {err}") from err


def open_zip(file: IO[bytes], max_members: int) -> zipfile.ZipFile:
    """Open a zip whose directory is small enough for so many members.

    The module reads the whole directory at once: a few megabytes of it become a gigabyte of memory.

    Raises:
        BadZipFile: it is no zip, or one with more members.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - 20 - _END.size))
    tail = file.read()
    if len(tail) < _END.size or tail[-_END.size :][:4] != _END_MAGIC:
        raise zipfile.BadZipFile("is no zip file, or its end is missing")
    _, _, _, _, n_members, n_bytes, _, n_comment = _END.unpack(tail[-_END.size :])
    is_far = tail.startswith(_FAR_END_MAGIC)
    if n_members > max_members or n_bytes > max_members * _DIRECTORY_BYTES or is_far or n_comment:
        raise zipfile.BadZipFile(
            f"its directory names {n_members} members in {n_bytes} bytes, at most {max_members}"
            f" in {max_members * _DIRECTORY_BYTES} are read"
        )
    return zipfile.ZipFile(file)


def read_arrays(
    content: bytes, shapes: Mapping[str, tuple[int, ...]]
) -> Iterator[tuple[str, Array]]:
    """Yield the arrays of an npz, each read only after its header shows the expected shape.

    Args:
        content: of the npz file; float32 or float16 arrays.
        shapes: names and shapes of all arrays it must hold.

    Raises:
        ValueError: it holds something else; or one of `DAMAGED`.
    """
    with open_zip(io.BytesIO(content), 2 * len(shapes)) as archive:
        members = archive.namelist()
        expected = {f"{name}.npy" for name in shapes}
        if differing := sorted(expected.symmetric_difference(members)):
            side = "lacks" if differing[0] in expected else "holds the unknown"
            raise ValueError(f"{side} array {differing[0]}")
        if len(members) != len(expected):
            raise ValueError("holds an array twice")
        for name, shape in shapes.items():
            with archive.open(_checked(archive, f"{name}.npy")) as file:
                yield name, _read_array(name, file, shape)


def write_arrays(arrays: Mapping[str, Array], dtype: npt.DTypeLike) -> bytes:
    """Return an npz of plain arrays; the same arrays give the same bytes.

    Args:
        arrays: by name.
        dtype: of those that are no vectors. A vector stays float32: the variance of a BatchNorm
            can pass the largest float16, and all vectors together are 0.1 MB.
    """
    buffer = io.BytesIO()
    stored = {
        name: array.astype(dtype if array.ndim > 1 else np.float32)
        for name, array in arrays.items()
    }
    np.savez(buffer, allow_pickle=False, **stored)
    return buffer.getvalue()


def write_zip(path: Path, parts: Mapping[str, bytes]) -> None:
    """Write a bundle as one file, in one step.

    Raises:
        OSError: the file cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.part")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name, _STAMP), content)
    unfinished.replace(path)


def _read(file: IO[bytes], size: int, limit: int, name: str) -> bytes:
    if size > limit:
        raise BundleError(f"{name} has {size} bytes, at most {limit} are read")
    return file.read(limit)


def _read_member(
    archive: zipfile.ZipFile, part: str, parts: Sequence[str], limit: int, name: str
) -> bytes:
    members = archive.namelist()
    if strangers := sorted(set(members) - set(parts)):
        raise ValueError(f"holds {strangers[0][:60]!r}, a bundle is {', '.join(parts)}")
    if members.count(part) != 1:
        raise ValueError(f"holds {part} {members.count(part)} times, a bundle has one")
    info = _checked(archive, part)
    with archive.open(info) as file:
        return _read(file, info.file_size, limit, f"{name}: {part}")


def _checked(archive: zipfile.ZipFile, member: str) -> zipfile.ZipInfo:
    info = archive.getinfo(member)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{member} is compressed in a way that is not read")
    return info


def _read_array(name: str, file: IO[bytes], shape: tuple[int, ...]) -> Array:
    magic = file.read(np.lib.format.MAGIC_LEN)
    if magic != np.lib.format.magic(1, 0):
        raise ValueError(f"{name}: begins with {magic!r}, an array of npy version 1.0 is read")
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

"""Text tables of data sets: comma separated rows with a header, and lists of words.

In: a file. Out: its rows with their line numbers, as text. What the columns mean is for the
importers.
Invariant: whatever is in the file, the outcome is rows or a `DataError` with file and line.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from model.errors import DataError

MAX_BYTES: Final = 1 << 28


class Row(NamedTuple):
    """A row, its cells by column and where it stands."""

    cells: Mapping[str, str]
    place: str

    def seconds(self, column: str) -> float | None:
        """Return a cell as seconds; None where it is empty or absent.

        Raises:
            DataError: it is no number.
        """
        text = self.cells.get(column, "")
        if not text:
            return None
        try:
            return float(text)
        except ValueError:
            raise DataError(f"{self.place}: {column} is {text!r}; write seconds") from None


def read_rows(path: Path, required: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of a comma separated file.

    Args:
        path: the file; its first line names the columns.
        required: columns that must be there.

    Raises:
        DataError: unreadable, columns missing, or a row of another length than the header.
    """
    reader = csv.reader(_lines(path), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        missing = [name for name in required if name not in header]
        if missing:
            raise DataError(
                f"{path}: has no column {missing[0]!r}; its first line names {', '.join(header)}"
            )
        for cells in reader:
            place = f"{path}:{reader.line_num}"
            if not cells:
                continue
            if len(cells) != len(header):
                raise DataError(f"{place}: has {len(cells)} cells, the header {len(header)}")
            yield Row({n: c.strip() for n, c in zip(header, cells, strict=True)}, place)
    except csv.Error as err:
        raise DataError(f"{path}:{reader.line_num}: is no comma separated text: {err}") from None


def read_words(path: Path) -> Iterator[tuple[list[str], str]]:
    """Yield the words of each line that has any, and where it stands.

    Raises:
        DataError: the file cannot be read.
    """
    for number, line in enumerate(_lines(path), 1):
        words = line.split()
        if words:
            yield words, f"{path}:{number}"


def _lines(path: Path) -> list[str]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path}: is larger than 256 MiB; give a list, not a video")
        return path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as err:
        raise DataError(f"{path}: {err.strerror}; give a file that can be read") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not UTF-8 text; save it as UTF-8") from None

"""Claims about text tables: rows with their place, or one sentence with the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.data.tablefile import read_rows, read_words
from model.errors import DataError


def rows(tmp_path: Path, text: str, required: tuple[str, ...] = ("a", "b")) -> list[dict[str, str]]:
    path = tmp_path / "list.csv"
    path.write_text(text, encoding="utf-8")
    return [dict(row.cells) for row in read_rows(path, required)]


def test_rows_come_by_column_whatever_their_order(tmp_path: Path) -> None:
    """Columns go by name; quotes, blanks, a byte order mark and empty lines are understood."""
    text = '\ufeffb, a\n"x, y", 1\n\nz,2\n'
    assert rows(tmp_path, text) == [{"b": "x, y", "a": "1"}, {"b": "z", "a": "2"}]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "no column 'a'"),
        ("a,c\n1,2\n", "no column 'b'; its first line names a, c"),
        ("a,b\n1\n", r"list\.csv:2: has 1 cells, the header 2"),
        ('a,b\n"1,2\n', "is no comma separated text"),
    ],
)
def test_wrong_tables_are_named_with_their_line(tmp_path: Path, text: str, named: str) -> None:
    """Missing columns, short rows and open quotes end in a sentence."""
    with pytest.raises(DataError, match=named):
        rows(tmp_path, text)


def test_seconds_are_numbers_or_absent(tmp_path: Path) -> None:
    """An empty cell is no time, a word is an error with its line."""
    path = tmp_path / "list.csv"
    path.write_text("a,b\n1.5,\nsoon,2\n")
    first, second = read_rows(path, ("a",))
    assert (first.seconds("a"), first.seconds("b"), first.seconds("none")) == (1.5, None, None)
    with pytest.raises(DataError, match=r"list\.csv:3: a is 'soon'"):
        second.seconds("a")


def test_words_come_with_their_line(tmp_path: Path) -> None:
    """Lists of words skip empty lines and say where each stands."""
    path = tmp_path / "list.txt"
    path.write_text("a 1\n\n b\n")
    assert list(read_words(path)) == [(["a", "1"], f"{path}:1"), (["b"], f"{path}:3")]


def test_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """A missing file and a video in the place of a list are one sentence."""
    path = tmp_path / "list.txt"
    with pytest.raises(DataError, match="No such file"):
        list(read_words(path))
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not UTF-8"):
        list(read_words(path))

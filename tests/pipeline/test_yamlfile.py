"""YAML text to plain data with line numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.yamlfile import MAX_BYTES, MAX_NODES, key_name, read_yaml

Writer = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    """Return a function that writes a file and returns its path."""

    def write(content: str | bytes) -> Path:
        path = tmp_path / "x.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_plain_data_follows_the_yaml_1_2_core_rules(write: Writer) -> None:
    """Only true and false are flags, and nothing becomes a date or a base-60 number."""
    text = (
        "flags: [true, False, off, yes, n]\n"
        "nothing: [~, null, ]\n"
        "ints: [1, -2, +3, 010, 0x10, 0o10]\n"
        "floats: [1.5, .5, 1e3, -2E-1]\n"
        "texts: ['1', \"true\", 12:30, 2020-01-01, 1_000, .inf, .nan, a b]\n"
    )
    data, _ = read_yaml(write(text), {})
    assert data["flags"] == [True, False, "off", "yes", "n"]
    assert data["nothing"] == [None, None]
    assert data["ints"] == [1, -2, 3, 10, 16, 8]
    assert data["floats"] == [1.5, 0.5, 1000.0, -0.2]
    assert data["texts"] == ["1", "true", "12:30", "2020-01-01", "1_000", ".inf", ".nan", "a b"]


def test_every_key_and_item_has_the_line_it_is_written_at(write: Writer) -> None:
    """Lines count from 1, past comments, and a key's line is where its name stands."""
    _, lines = read_yaml(write("# top\na:\n\n  - b: 1\n    c:\n      d: 2\n  - 5\n"), {})
    assert lines == {
        (): 2,
        ("a",): 2,
        ("a", 0): 4,
        ("a", 0, "b"): 4,
        ("a", 0, "c"): 5,
        ("a", 0, "c", "d"): 6,
        ("a", 1): 7,
    }


def test_aliases_and_merges_are_allowed_where_they_stay_small(write: Writer) -> None:
    """An alias repeats a value; a merge gives way to own keys and to earlier mappings."""
    text = (
        "one: &one {a: 1, b: 2}\n"
        "two: &two {b: 3, c: 4}\n"
        "same: *one\n"
        "both: {<<: [*one, *two], a: 9}\n"
    )
    data, lines = read_yaml(write(text), {})
    assert data["same"] == {"a": 1, "b": 2}
    assert data["both"] == {"a": 9, "b": 2, "c": 4}
    assert lines["both", "a"] == 4
    assert lines["both", "c"] == 2


def test_text_takes_values_from_the_environment_but_keys_do_not(write: Writer) -> None:
    """Values are substituted wherever they stand in text; a key is left as it is."""
    data, _ = read_yaml(write("'${A}': ['${A}', '${B:-b}', '$${A}']\n"), {"A": "1"})
    assert data == {"${A}": ["1", "b", "${A}"]}


def test_an_empty_file_is_none(write: Writer) -> None:
    """Comments alone are no data; a byte order mark is no content."""
    assert read_yaml(write(b"\xef\xbb\xbf# nothing\n"), {}) == (None, {})


def test_a_file_may_be_as_large_as_the_limit_and_no_larger(write: Writer) -> None:
    """1 MiB is read, one byte more is refused."""
    assert read_yaml(write("a: 1 #" + "x" * (MAX_BYTES - 6)), {})[0] == {"a": 1}
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        read_yaml(write("a: 1 #" + "x" * (MAX_BYTES - 5)), {})


def test_values_are_counted_with_their_aliases_written_out(write: Writer) -> None:
    """Just below the limit passes; one alias more does not."""
    n_items = 1000
    n_aliases = (MAX_NODES - 10) // (n_items + 1) - 1
    base = "a: &a [" + ",".join(["x"] * n_items) + "]\n"
    aliases = ",".join(["*a"] * n_aliases)
    assert len(read_yaml(write(f"{base}b: [{aliases}]\n"), {})[0]["b"]) == n_aliases
    with pytest.raises(ConfigError, match="remove aliases"):
        read_yaml(write(f"{base}b: [{aliases},*a]\n"), {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\na: 2\n", "x.yaml:2: a: is given twice (first in line 1); keep one"),
        ("a: {b: [0, {c: 1, c: 2}]}\n", "x.yaml:1: a.b[1].c: is given twice"),
        ("a: !!set {b}\n", "x.yaml:1: a: tag '!!set' is not allowed; write a plain value"),
        ("a:\n\t- 1\n", "x.yaml:2: a tab stands where YAML wants blanks; indent with spaces"),
        ("a: '${NO}'\n", "x.yaml:1: a: environment variable NO is not set"),
        ("a: b: c\n", "x.yaml:1: is not valid YAML: mapping values are not allowed here"),
    ],
)
def test_what_is_wrong_is_named_with_line_and_key(write: Writer, text: str, expected: str) -> None:
    """The sentence begins with FILE:LINE, then the key where there is one."""
    with pytest.raises(ConfigError) as caught:
        read_yaml(write(text), {})
    assert expected in str(caught.value)


def test_a_key_path_reads_as_people_write_it() -> None:
    """Dots between keys, brackets around indexes."""
    assert key_name(("cameras", 0, "source", "url")) == "cameras[0].source.url"
    assert key_name(()) == ""

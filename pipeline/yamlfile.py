"""One YAML file in, plain data and the line of every key out, or one sentence on what is wrong.

PyYAML's safe loader composes the nodes; this file turns them into dict, list, str, int, float,
bool and None by the YAML 1.2 core rules (so `off` is text, not false), and fills in `${NAME}`.
Invariant: work is bounded by size, depth and expanded node count, whatever the file says.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from pipeline.environment import remember_address, substitute
from pipeline.errors import ConfigError
from streamer.redact import redact

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NODES = 30_000
"""Nodes with every alias written out: 1,000 cameras stay below, a billion laughs does not."""

KeyPath = tuple[str | int, ...]
Lines = dict[KeyPath, int]
"""Line number (from 1) of the key at each path; of the item itself in a list."""

_TAG = "tag:yaml.org,2002:"


_TOO_DEEP = f"is nested deeper than {MAX_DEPTH} levels; a configuration needs 6"
_TOO_LARGE = f"holds more than {MAX_NODES:,} values with its aliases written out; remove aliases"


class _Loader(yaml.SafeLoader):
    """The safe loader with YAML 1.2 scalars; its limits keep any file off stack and memory."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML fills the class attribute
    n_levels = 0
    n_nodes = 0

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._sizes: dict[yaml.Node, int] = {}

    def compose_node(self, parent: Any, index: Any) -> yaml.Node | None:
        """Compose a node and everything in it; aliases give the node they stand for."""
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        self.n_levels += 1
        self.n_nodes += 1
        if self.n_levels > MAX_DEPTH:
            raise _refusal(_TOO_DEEP, mark)
        is_alias = self.check_event(yaml.AliasEvent)
        node: yaml.Node | None = super().compose_node(parent, index)
        self.n_levels -= 1
        if node is not None and is_alias and node not in self._sizes:
            raise _refusal("an alias refers to what it stands in; remove it", mark)
        if node is not None and not is_alias:
            self._sizes[node] = 1 + sum(self._sizes[child] for child in _children(node))
        if self.n_nodes > MAX_NODES or (node is not None and self._sizes[node] > MAX_NODES):
            raise _refusal(_TOO_LARGE, mark)
        return node


for _kind, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(rf"(?:{_pattern})\Z"), _first)


def read_yaml(path: Path, environment: Mapping[str, str]) -> tuple[Any, Lines]:
    """Read a YAML file.

    Args:
        path: a regular file, UTF-8, at most 1 MiB.
        environment: values of `${NAME}`.

    Returns:
        plain data (None for an empty file) and the line of each key path.

    Raises:
        ConfigError: it cannot be read, is no YAML, is too large or deep, repeats a key, asks for
            Python objects or an unset variable; the message begins with FILE or FILE:LINE.
    """
    text = _read_text(path)
    try:
        # _Loader is a SafeLoader; it only composes nodes, nothing is constructed from tags.
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark or err.context_mark
        where = f"{path}:{mark.line + 1}" if mark is not None else f"{path}"
        raise ConfigError(f"{where}: {_syntax_sentence(err, mark)}") from None
    except yaml.reader.ReaderError as err:
        line = text.count("\n", 0, err.position) + 1
        code = err.character if isinstance(err.character, int) else ord(err.character)
        raise ConfigError(
            f"{path}:{line}: control character U+{code:04X} is not allowed; remove it"
        ) from None
    if root is None:
        return None, {}
    builder = _Builder(path, environment)
    return builder.build(root, ()), builder.lines


def _read_text(path: Path) -> str:
    try:
        # A FIFO or device would block or never end.
        if not stat.S_ISREG(path.stat().st_mode):
            what = "a folder" if path.is_dir() else "not a regular file"
            raise ConfigError(f"{path}: is {what}; give a YAML file")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as err:
        reason = err.strerror if isinstance(err, OSError) and err.strerror else str(err)
        raise ConfigError(f"{path}: cannot be read: {reason}; give a YAML file") from None
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{path}: is larger than 1 MiB; a configuration is a few kB of YAML")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        line = raw.count(b"\n", 0, err.start) + 1
        raise ConfigError(f"{path}:{line}: is not UTF-8 text; save it as UTF-8") from None


def _syntax_sentence(err: yaml.MarkedYAMLError, mark: Any) -> str:
    problem = redact(err.problem or "is not YAML")
    if mark is not None and mark.buffer is not None:
        begin = mark.buffer.rfind("\n", 0, mark.pointer) + 1
        if (
            "\t" in (re.match(r"\s*", mark.buffer[begin : begin + 80]) or [""])[0]
            or "'\\t'" in problem
        ):
            return "a tab stands where YAML wants blanks; indent with spaces"
    return problem if ";" in problem else f"is not valid YAML: {problem}"


def _refusal(sentence: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(None, None, sentence, mark)


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair


class _Builder:
    """Turns composed nodes, of which the loader has made sure that they are few, into data."""

    def __init__(self, path: Path, environment: Mapping[str, str]) -> None:
        self.lines: Lines = {}
        self._path = path
        self._environment = environment

    def build(self, node: yaml.Node, at: KeyPath) -> Any:
        """Return the data of `node`; `at` is its key path."""
        self.lines.setdefault(at, _line(node))
        if len(at) > MAX_DEPTH:
            raise self._error(node, (), _TOO_DEEP)
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, at)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self.build(item, (*at, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, at)
        raise self._tag_error(node, at)

    def _mapping(self, node: yaml.MappingNode, at: KeyPath) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                for part in self._merged(value_node, at):
                    merged = part | merged
                continue
            key = self._key(key_node, at)
            inner = (*at, key)
            if key in own:
                first = self.lines[inner]
                raise self._error(
                    key_node, inner, f"is given twice (first in line {first}); keep one"
                )
            self.lines[inner] = _line(key_node)
            own[key] = self.build(value_node, inner)
        return merged | own

    def _merged(self, node: yaml.Node, at: KeyPath) -> Iterator[dict[str, Any]]:
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for part in parts:
            if not isinstance(part, yaml.MappingNode):
                raise self._error(part, at, "<< takes a mapping or a list of mappings")
            # The keys keep the lines of the place they are written at.
            aside = _Builder(self._path, self._environment)
            data = aside.build(part, at)
            for inner, line in aside.lines.items():
                self.lines.setdefault(inner, line)
            yield data

    def _key(self, node: yaml.Node, at: KeyPath) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self._error(node, at, "a list or mapping cannot be a key; write `key: value`")
        key = str(node.value)
        remember_address(key)
        return key

    def _scalar(self, node: yaml.ScalarNode, at: KeyPath) -> Any:
        kind = node.tag.removeprefix(_TAG)
        if kind in ("int", "float"):
            return self._number(node, at, kind)
        if kind == "str":
            return self._substituted(node, at)
        constants = {"null": None, "bool": node.value.lower() == "true", "merge": node.value}
        if kind not in constants:
            raise self._tag_error(node, at)
        return constants[kind]

    def _number(self, node: yaml.ScalarNode, at: KeyPath, kind: str) -> int | float:
        text = node.value
        try:
            if kind == "float":
                return float(text)
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        except ValueError:
            raise self._error(node, at, "is not a number this program can hold") from None

    def _substituted(self, node: yaml.ScalarNode, at: KeyPath) -> str:
        try:
            return substitute(str(node.value), self._environment)
        except ValueError as err:
            raise self._error(node, at, str(err)) from None

    def _tag_error(self, node: yaml.Node, at: KeyPath) -> ConfigError:
        tag = node.tag.replace(_TAG, "!!")
        return self._error(node, at, f"tag {tag!r} is not allowed; write a plain value")

    def _error(self, node: yaml.Node, at: KeyPath, sentence: str) -> ConfigError:
        key = f"{key_name(at)}: " if at else ""
        return ConfigError(redact(f"{self._path}:{_line(node)}: {key}{sentence}"))


def key_name(at: KeyPath) -> str:
    """Return a key path as people write it, such as `cameras[0].source`."""
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in at)
    return name.removeprefix(".")


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1

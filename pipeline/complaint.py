"""What validation found, as one sentence a problem that an operator can act on.

In: a pydantic `ValidationError`, the data it was raised for and the place of each key.
Out: sentences such as `x.yaml:12: cameras[0].analysis_fps: must be greater than 0, not -1`.
Invariant: no sentence shows a credential, spans lines or names pydantic.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipeline.yamlfile import KeyPath, key_name
from streamer.redact import redact

MAX_SHOWN = 60
MAX_SENTENCE = 1000
_SOURCE_KINDS = "'rtsp', 'http', 'file', 'webcam', 'synthetic'"


class Place(NamedTuple):
    """Where a value was written.

    Attributes:
        text: FILE:LINE, or the option of the command line.
        is_option: the text names the value by itself, its key is left out.
    """

    text: str
    is_option: bool = False


Places = Mapping[KeyPath, Place]


def complaints(
    err: ValidationError, model: type[BaseModel], data: Any, places: Places
) -> tuple[str, ...]:
    """Turn a validation error into sentences.

    Args:
        err: raised by validating `data`.
        model: the model that refused it.
        data: plain data.
        places: the place of each key path; a path that is absent takes its nearest parent's.

    Returns:
        one sentence a problem, in the order of `places`; credentials hidden.
    """
    order = {at: index for index, at in enumerate(places)}
    found: list[tuple[int, str]] = []
    for details in err.errors(include_url=False):
        if _is_noise(details):
            continue
        at = _path(details["loc"], data)
        sentence, at = _sentence(details, at, model)
        nearest = _nearest(at, places)
        found.append((order.get(nearest, -1), _located(sentence, at, places.get(nearest))))
    return tuple(dict.fromkeys(text for _, text in sorted(found, key=lambda item: item[0])))


def one_line(text: str) -> str:
    """Return `text` redacted, short and on one line; control and invisible characters escaped."""
    text = redact(text)
    text = text if len(text) <= MAX_SENTENCE else f"{text[:MAX_SENTENCE]}..."
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def shown(value: Any) -> str:
    """Return a value as a message may show it: scalars redacted and short, others by kind."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        return "a mapping" if isinstance(value, Mapping) else "a list"
    # Redacted before it is cut: half a password is a secret too.
    text = repr(redact(value)) if isinstance(value, str) else _digits(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def _digits(value: float) -> str:
    # Python refuses to print integers of more than 4,300 digits.
    is_huge = isinstance(value, int) and abs(value) >= 10**MAX_SHOWN
    return "a huge number" if is_huge else str(value)


def _located(sentence: str, at: KeyPath, place: Place | None) -> str:
    name = key_name(at)
    text = f"{name}: {sentence}" if name and not (place and place.is_option) else sentence
    return one_line(f"{place.text}: {text}" if place else text)


def _is_noise(details: ErrorDetails) -> bool:
    """Say whether another problem tells it better: bad items of a list, half of a union."""
    value = details["input"]
    is_long_enough = details["type"] == "too_short" and bool(value)
    return is_long_enough or details["type"] == "is_instance_of"


def _nearest(at: KeyPath, places: Places) -> KeyPath:
    while at and at not in places:
        at = at[:-1]
    return at


def _path(loc: tuple[int | str, ...], data: Any) -> KeyPath:
    """Drop what pydantic adds to a location: union tags, and keys inside what is text to us."""
    path: list[int | str] = []
    for index, part in enumerate(loc):
        if isinstance(data, Mapping):
            is_tag = part not in data and data.get("kind") == part and index + 1 < len(loc)
            if is_tag:
                continue
            if part not in data and not re.fullmatch(r"\w+", str(part)):
                break
            data = data.get(part)
        elif isinstance(data, list | tuple) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            break
        path.append(part)
    return tuple(path)


def _sentence(details: ErrorDetails, at: KeyPath, model: type[BaseModel]) -> tuple[str, KeyPath]:
    """Return what is wrong, and the key path it is about."""
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "value_error":
        return _own_words(str(context["error"]), at)
    if kind == "extra_forbidden":
        return _unknown_key(str(at[-1]), _fields(model, at[:-1], details["loc"])), at
    if kind.startswith("union_tag"):
        at = (*at, "kind") if isinstance(value, Mapping) else at
        text = (
            f"must be one of {context.get('expected_tags', _SOURCE_KINDS)}, not {_kind_of(value)}"
        )
    elif kind == "missing":
        text = "is required; add it"
    else:
        text = f"must be {_expected(details)}, not {shown(value)}{_hint(kind, value)}"
    return text, at


def _own_words(text: str, at: KeyPath) -> tuple[str, KeyPath]:
    """Our validators speak for themselves; a key that opens their sentence refines the location."""
    match = re.match(r"((?:[a-z_]+(?:\[\d+\])?\.)*[a-z_]+(?:\[\d+\])?) (.*)", text, re.DOTALL)
    if match is None or not re.search(r"[_.\[]", match.group(1)):
        return text, at
    parts = re.findall(r"[a-z_]+|\d+", match.group(1))
    key = tuple(int(part) if part.isdecimal() else part for part in parts)
    return match.group(2), (*at, *key)


def _unknown_key(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    meant = f"; did you mean {close[0]!r}?" if close else ";"
    return f"is not a known key{meant} known keys are {', '.join(known)}"


def _kind_of(value: Any) -> str:
    return shown(value.get("kind") if isinstance(value, Mapping) else value)


def _expected(details: ErrorDetails) -> str:
    kind, context = details["type"], details.get("ctx", {})
    bounds = {
        "greater_than": "greater than {gt}",
        "greater_than_equal": "at least {ge}",
        "less_than": "less than {lt}",
        "less_than_equal": "at most {le}",
        "literal_error": "{expected}",
        "string_too_long": "at most {max_length} characters long",
        "too_short": "a list of at least {min_length}",
        "finite_number": "a finite number",
    }
    if kind in bounds:
        return bounds[kind].format(
            **{k: f"{v:g}" if isinstance(v, float) else v for k, v in context.items()}
        )
    if kind == "string_pattern_mismatch":
        return "letters, digits, - and _, at most 32, beginning with a letter or digit"
    return _KINDS.get(kind.partition("_")[0], "of another kind")


_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "path": "a file path",
    "model": "a mapping (key: value)",
    "dict": "a mapping (key: value)",
    "tuple": "a list (- item)",
    "list": "a list (- item)",
}
"""What a value should have been, by the first word of pydantic's error type."""


def _hint(kind: str, value: Any) -> str:
    if kind == "string_type" and isinstance(value, int | float):
        return "; put it in quotes"
    return ""


def _fields(model: type[BaseModel], at: KeyPath, loc: tuple[int | str, ...]) -> list[str]:
    """Names of the fields at a key path; in a union, of the member whose tag `loc` holds."""
    candidates: list[type[BaseModel]] = [model]
    for part in at:
        if isinstance(part, int):
            continue
        inner = [
            m
            for c in candidates
            if part in c.model_fields
            for m in _models(c.model_fields[part].annotation)
        ]
        candidates = inner or candidates
    tagged = [
        c for c in candidates if "kind" in c.model_fields and c.model_fields["kind"].default in loc
    ]
    return list(dict.fromkeys(name for c in tagged or candidates for name in c.model_fields))


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Models inside an annotation such as `tuple[Camera, ...]` or `Annotated[A | B, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) is None:
        return []
    return [model for argument in get_args(annotation) for model in _models(argument)]

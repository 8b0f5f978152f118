"""`${NAME}` in configuration text, replaced from the environment.

In: one text and the environment. Out: the text with `${NAME}` and `${NAME:-default}` filled in
and `$${` turned into `${`. What lands in the user part of an address is percent-encoded.
Invariant: whatever may be the secret of an address is known to `redact` before anyone can print it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from streamer.redact import redact, secrets_of

_PLACEHOLDER = re.compile(r"\$\$\{|\$\{([^}]*)\}|\$\{")
_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


def substitute(text: str, environment: Mapping[str, str]) -> str:
    """Fill in the placeholders of `text`.

    Args:
        text: a value of a configuration file.
        environment: values of `${NAME}`; an empty one counts as not set, as in a shell's `:-`.

    Returns:
        the text without placeholders; its secrets are remembered by the redactor.

    Raises:
        ValueError: a placeholder is malformed, or its variable is not set and has no default.
    """
    parts: list[str] = []
    end = 0
    for match in _PLACEHOLDER.finditer(text):
        parts.append(text[end : match.start()])
        end = match.end()
        if match.group(0) == "$${":
            parts.append("${")
        else:
            value = _variable(match.group(1), environment)
            parts.append(_placed(value, text[: match.start()], text[end:]))
    result = "".join([*parts, text[end:]])
    remember_address(result)
    return result


def _variable(inside: str | None, environment: Mapping[str, str]) -> str:
    named = _NAME.fullmatch(inside or "")
    if named is None:
        raise ValueError(
            "holds a broken ${...}; write ${NAME}, ${NAME:-default}, or $${ for a plain ${"
        )
    name, default = named.groups()
    value: str | None = environment.get(name) or default
    if value is None:
        raise ValueError(
            f"environment variable {name} is not set; set it or write ${{{name}:-default}}"
        )
    return value


def _placed(value: str, before: str, after: str) -> str:
    """Return `value` as it belongs between the texts; remember it if it may be a secret."""
    if "://" not in before or "://" in value:
        return value
    is_authority = re.search(r"://[^/?#]*$", before) is not None
    if is_authority and "@" in after:
        return _as_user_part(value)
    if not is_authority:
        redact.remember([value])
    return value


def _as_user_part(value: str) -> str:
    """Percent-encode what would end the user part of an address; what is encoded stays."""
    encoded = quote(value, safe=":%!$&'()*+,;=~")
    return re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", encoded)


def remember_address(text: str) -> None:
    """Learn the secrets of anything like an address, also of one that will be refused."""
    if "://" in text:
        redact.remember_url(text)
    elif re.match(r"[^:/\s]+:[^@]+@", text):
        # user:password@host without its scheme, the commonest slip.
        redact.remember(secrets_of(f"rtsp://{text}"))

"""Keeps credentials out of everything people and machines read.

Two defences, both always on: structure (whatever looks like a URL loses its user part, its query
values and password-like path parts) and memory (every secret value that was configured is replaced
wherever it appears, in clear, percent-encoded or as HTTP Basic base64). In: any text. Out: the same
text, safe to log. Invariant: redacting twice gives the same text as once.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, quote, unquote, urlsplit

HIDDEN = "***"

# Shorter values are left to the structural rules: replacing "1" everywhere would destroy every
# message.
MIN_REMEMBERED = 4

_URL = re.compile(r"\b([a-z][a-z0-9+.-]{1,15})://([^\s'\"<>]+)", re.IGNORECASE)
_SECRET_KEY = re.compile(
    r"pass|pwd|pw$|^pw|token|secret|auth|key|cred|login|usr|user|sig", re.IGNORECASE
)
# user=admin_password=pw_channel=1: some cameras put credentials into the path.
_PATH_SECRET = re.compile(
    r"((?:pass\w*?|pwd|psw|user(?:name)?|usr|token)=)([^_&/?;]+)", re.IGNORECASE
)

_HOST_PORT = re.compile(r"(\[[^\]]*\]|[^:]*)(:\d*)?")


def redact_url(url: str) -> str:
    """Return `url` without user part, query values and password-like path parts; never raises.

    Args:
        url: anything, also an address that does not parse as a URL.

    Returns:
        text that names scheme, host, port and path only.
    """
    match = re.match(r"^([a-z][a-z0-9+.-]*)://(.*)$", url, re.IGNORECASE | re.DOTALL)
    if match is None:
        return _PATH_SECRET.sub(rf"\1{HIDDEN}", url)
    scheme, rest = match.groups()
    before_query, question, query = rest.partition("?")
    # The last "@" ends the user part: passwords may hold "@", ":" and even "/", hosts and paths
    # rarely hold "@".
    user, at, address = before_query.rpartition("@")
    address = _PATH_SECRET.sub(rf"\1{HIDDEN}", address)
    shown = f"{scheme}://{HIDDEN + at if at else ''}{address}"
    del user
    return shown + (f"?{_hide_query(query)}" if question else "")


def _hide_query(query: str) -> str:
    query, hash_, _ = query.partition("#")
    names = [part.partition("=")[0] for part in re.split(r"[&;]", query)]
    return "&".join(f"{name}={HIDDEN}" for name in names) + hash_


def secrets_of(url: str) -> set[str]:
    """Return the secret values that `url` carries, each in every spelling a message may show.

    Args:
        url: a camera address with or without credentials.

    Returns:
        values of at least 4 characters; the user part, password, query and path secrets, encoded
        and decoded.
    """
    _, _, rest = url.partition("://")
    before_query, _, query = rest.partition("?")
    found: set[str] = set()
    for user_part in _user_parts(before_query):
        name, colon, password = user_part.partition(":")
        found |= {user_part, password if colon else name}
        for pair in {user_part, unquote(user_part)}:
            found.add(base64.b64encode(pair.encode()).decode())
    found |= {value for key, value in _pairs(query) if _SECRET_KEY.search(key)}
    found |= {
        m.group(2) for m in _PATH_SECRET.finditer(before_query) if "pass" in m.group(1).lower()
    }
    found |= {spelling(value) for value in found for spelling in (unquote, _quoted)}
    return {value for value in found if len(value) >= MIN_REMEMBERED}


def _user_parts(before_query: str) -> set[str]:
    """Return what may be the user part: by the letter of the standard, and with a "/" in it."""
    authority = before_query.partition("/")[0]
    return {authority.rpartition("@")[0], before_query.rpartition("@")[0]} - {""}


def _quoted(value: str) -> str:
    return quote(unquote(value), safe="")


def _pairs(query: str) -> list[tuple[str, str]]:
    raw = [(k, v) for k, _, v in (part.partition("=") for part in re.split(r"[&;]", query))]
    return raw + parse_qsl(query, keep_blank_values=True)


class Redactor:
    """Remembers secret values and removes them from texts.

    Loop- and thread-safe: the compiled pattern is replaced as a whole.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self.remember(secrets)

    def remember(self, secrets: Iterable[str]) -> None:
        """Add secret values; values shorter than 4 characters are ignored."""
        self._secrets |= {secret for secret in secrets if len(secret) >= MIN_REMEMBERED}
        if self._secrets:
            longest_first = sorted(self._secrets, key=len, reverse=True)
            self._pattern = re.compile("|".join(re.escape(secret) for secret in longest_first))

    def remember_url(self, url: str) -> None:
        """Add the secrets that `url` carries."""
        self.remember(secrets_of(url))

    def __call__(self, text: str) -> str:
        """Return `text` with remembered values and the credentials of URLs replaced by `***`."""
        text = _URL.sub(lambda match: redact_url(match.group(0)), text)
        return self._pattern.sub(HIDDEN, text) if self._pattern is not None else text


def host_of(url: str) -> tuple[str, int | None]:
    """Return host name (or address, without brackets) and port of `url`, None where not stated.

    Raises:
        ValueError: the URL has no host, or its port is not a number in 1..65535.
    """
    scheme, _, rest = url.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" not in authority and not _HOST_PORT.fullmatch(authority):
        # An unescaped "/" in the password: the user part ends at the last "@" before the query.
        after_user = rest.partition("?")[0].rpartition("@")[2]
        authority = re.split(r"[/#]", after_user, maxsplit=1)[0]
    authority = authority.rpartition("@")[2]
    parts = urlsplit(f"{scheme}://{authority}")
    if not parts.hostname:
        raise ValueError("no host")
    return parts.hostname, parts.port


redact = Redactor()
"""The process-wide redactor: configuration fills it, the log and exception borders use it."""

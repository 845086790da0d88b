"""Secrets: values that are printed as their last four characters. Rule: nothing here reads a file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote, unquote_plus

from pydantic import BaseModel, SecretStr

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHOWN = 4
_LENGTH_MIN = 12  # of a shorter one, four characters would be too much to show
# On the web, what stands there alone is a token; a database has a user without a password, too.
_BEFORE_HOST = re.compile(r"(?<=://)[^/?#]*:[^/?#]+@|(?:(?<=http://)|(?<=https://))[^/?#]+@")
_IN_QUERY = re.compile(r"(?<=[?&])((?:ssl)?password=)([^&#]+)")  # as Postgres' drivers take it


def masked(value: str) -> str:
    """What may be printed of a secret."""
    if not value:
        return ""
    return f"…{value[-_SHOWN:]}" if len(value) >= _LENGTH_MIN else "…"


def without_passwords(text: str) -> str:
    """The same; of a URL, without the passwords before its host and in its query."""
    return _IN_QUERY.sub(r"\1…", _BEFORE_HOST.sub("…@", text))


class Secret(SecretStr):
    """A text that never prints itself; `get_secret_value()` is the text."""

    def _display(self) -> str:
        return masked(self.get_secret_value())


def secrets_in(value: object) -> Iterator[str]:
    """Every secret of a configuration, the passwords of its URLs among them."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
        yield from _passwords(value.get_secret_value())
    elif isinstance(value, str):
        yield from _passwords(value)
    elif isinstance(value, BaseModel):
        yield from secrets_in(dict(iter(value)))  # of `Settings`, `keys` is a field
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from secrets_in(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from secrets_in(item)


def _passwords(text: str) -> Iterator[str]:
    """As it is written, and without its percent signs."""
    for _, value in _IN_QUERY.findall(text):
        yield value
        yield unquote_plus(value)
    address = text.partition("://")[2]
    credentials, at, _ = address.partition("/")[0].rpartition("@")
    password = credentials.partition(":")[2] if at else ""
    if password:
        yield password
        yield unquote(password)

"""Names and ids that people choose. Rule: an id fits into a URL, a counter's name and a metric's label."""

from __future__ import annotations

import re

from gatemill.core.errors import InvalidValue

NAME_CHARS_MAX = 200
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def check_name(name: str, kind: str) -> None:
    """Raises InvalidValue for a name nobody could read."""
    if not 0 < len(name.strip()) <= NAME_CHARS_MAX:
        raise InvalidValue(
            f"Give the {kind} a name of 1 to {NAME_CHARS_MAX} characters.", param="name"
        )


def check_id(text: str, kind: str) -> None:
    """Raises InvalidValue for an id that would have to be quoted somewhere."""
    if not _ID.fullmatch(text):
        raise InvalidValue(
            f"The id of a {kind} has 1 to 63 characters of a-z, 0-9, '.', '_' and '-', and begins"
            " with a letter or a digit.",
            param="id",
        )

"""Names, aliases and reasons that people choose. Rule: a name fits into a URL and before `@` and `:`."""

from __future__ import annotations

import re

from gatemill.core.errors import InvalidValue

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
_ALIAS = re.compile(r"[a-z][a-z0-9_-]{0,62}", re.ASCII)


def check_name(name: str) -> None:
    """Raises InvalidValue."""
    if not _NAME.fullmatch(name):
        raise InvalidValue(
            "`name`: send 1 to 100 letters, digits, '.', '_' and '-', a letter or digit first.",
            param="name",
        )


def check_alias(alias: str) -> None:
    """Raises InvalidValue."""
    if not _ALIAS.fullmatch(alias):
        raise InvalidValue(
            "`alias`: send 1 to 63 of a-z, 0-9, '_' and '-', a letter first; such as production.",
            param="alias",
        )


def check_description(text: str) -> None:
    """Raises InvalidValue."""
    if len(text) > 2_000:
        raise InvalidValue("`description`: send at most 2,000 characters.", param="description")


def check_reason(reason: str) -> None:
    """Raises InvalidValue for a move that nobody will understand later."""
    if not 0 < len(reason.strip()) <= 1_000:
        raise InvalidValue("`reason`: say in 1 to 1,000 characters why.", param="reason")

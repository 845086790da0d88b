"""Secrets: values that are printed as their last four characters. Rule: nothing here reads a file."""

from __future__ import annotations

from pydantic import SecretStr

_SHOWN = 4
_LENGTH_MIN = 12  # of a shorter one, four characters would be too much to show


def masked(value: str) -> str:
    """What may be printed of a secret."""
    if not value:
        return ""
    return f"…{value[-_SHOWN:]}" if len(value) >= _LENGTH_MIN else "…"


class Secret(SecretStr):
    """A text that never prints itself; `get_secret_value()` is the text."""

    def _display(self) -> str:
        return masked(self.get_secret_value())

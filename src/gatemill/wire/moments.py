"""Moments as people write them. Rule: what names no zone is UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from gatemill.core.errors import InvalidValue

UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
# Not M: who writes it means months, and a purge would take it for minutes.
_AGO = re.compile(r"(\d{1,9})([smhdwSHDW])", re.ASCII)
_UNIX = re.compile(r"\d{1,12}(\.\d{1,6})?", re.ASCII)


def moment_s(text: str, now_s: float, param: str) -> float:
    """Unix time of "7d" (so long ago), "2026-11-01", "2026-11-01T12:00:00Z" or 1793491200.

    Raises InvalidValue.
    """
    text = text.strip()
    if ago := _AGO.fullmatch(text):
        return max(0.0, now_s - int(ago[1]) * UNITS_S[ago[2].lower()])
    if _UNIX.fullmatch(text):
        return float(text)
    try:
        at = datetime.fromisoformat(text)
        return max(0.0, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        raise InvalidValue(
            f"`{param}`: {text[:40]!r} is no moment. Write 7d or 12h for so long ago, a date such as"
            " 2026-11-01, a time such as 2026-11-01T12:00:00Z, or seconds of Unix time.",
            param=param,
        ) from None


def iso(unix_s: float) -> str:
    """2026-11-01T12:00:00Z."""
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%dT%H:%M:%SZ}"

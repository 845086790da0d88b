"""One line of a doctor's report. Rule: a value."""

from __future__ import annotations

from typing import NamedTuple

OK, WARNING, FAILURE = "✓", "!", "✗"


class Finding(NamedTuple):
    """What was looked at, how it is, and what repairs it."""

    mark: str
    subject: str
    text: str
    fix: str = ""
    latency_ms: float | None = None

"""What a provider's refusal says, made fit to be passed on.

Rule: nothing that looks like a key leaves, and nothing that could break a header or a terminal.
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_TEXT_MAX = 500
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_SECRET = re.compile(
    r"\b(?:sk|pk|gm|gsk|xai|key|api)[-_][\w*.-]{6,}|\bBearer\s+\S+|\bAIza[\w-]{10,}"
)
RETRY_AFTER_S_MAX = 86_400.0


def clean(text: str | None) -> str:
    """At most 500 characters, without control characters and without anything like a key."""
    if not text:
        return ""
    return _SECRET.sub("[redacted]", _CONTROL.sub(" ", text))[:_TEXT_MAX].strip()


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from retry-after-ms or retry-after; None when absent, odd, or a date.

    A date is only read against the answer's own `date` header, so no clock is needed.
    """
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            wait_s = float(value) / scale
        except ValueError:
            wait_s = _until(value, headers.get("date"))
        if 0 <= wait_s <= RETRY_AFTER_S_MAX:
            return wait_s
    return None


def _until(when: str, now: str | None) -> float:
    try:
        return (parsedate_to_datetime(when) - parsedate_to_datetime(now or "")).total_seconds()
    except (TypeError, ValueError, OverflowError):
        return -1.0

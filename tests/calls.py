"""A call as the door makes it, for tests of surfaces and dialects."""

from __future__ import annotations

from typing import Any

import msgspec

from gatemill.core.call import Call

ARRIVED_AT = 1_700_000_000.5


def call_for(surface: Any, body: dict[str, Any] | bytes) -> Call:
    """A call of `surface` with the head that it reads of `body`."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return Call(
        id="req1",
        operation=surface.NAME,
        body=raw,
        head=surface.head(raw),
        started_s=10.0,
        deadline_s=70.0,
        arrived_at=ARRIVED_AT,
    )

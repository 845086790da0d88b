"""What the document says of searches. Rule: as control.py; here is what would make a row there too long."""

from __future__ import annotations

from gatemill.describe.headers import parameter
from gatemill.describe.words import string, whole

_MOMENT = "`7d` (so long ago), `2026-11-01`, `2026-11-01T12:00:00Z` or seconds of Unix time"

REQUESTS = tuple(
    parameter(name, schema, "query")
    for name, schema in (
        ("status", string("Only these: `ok`, `error`, `4xx`, `5xx`, or a status such as `429`.")),
        ("error", string("Only those that ended with this code, such as `rate_limited`.")),
        ("min_latency_ms", whole("Only those that took at least so long.", least=1)),
        ("since", string(f"Only those that arrived since then: {_MOMENT}.")),
        ("until", string("Only those that arrived before then, written the same way.")),
        ("before", string("`before` of the last page: older ones.")),
        ("after", string("`after` of the last page: newer ones.")),
    )
)

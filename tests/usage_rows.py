"""Usage rows for tests of the ledger."""

from __future__ import annotations

from typing import Any

import msgspec

from gatemill.core.call import UsageRow

_ROW = UsageRow(
    attempt_id="req_0-1",
    request_id="req_0",
    attempt=1,
    at=1_763_700_000.0,
    key_id="abcdefghij",
    operation="chat",
    model="fast",
    provider="openai",
    target_model="gpt-4o-mini",
    stream=False,
    status=200,
    error="",
    input_tokens=100,
    cache_read_tokens=20,
    cache_write_tokens=3,
    input_audio_tokens=0,
    output_tokens=40,
    reasoning_tokens=5,
    output_audio_tokens=0,
    estimated=False,
    cost_microusd=250,
    latency_ms=812.5,
    first_token_ms=None,
)


def usage_row(name: object, **fields: Any) -> UsageRow:
    """A successful attempt of the request `name`."""
    ids = {"attempt_id": f"req_{name}-1", "request_id": f"req_{name}"}
    return msgspec.structs.replace(_ROW, **(ids | fields))

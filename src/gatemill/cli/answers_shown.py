"""What is known of an answer: a line for people, an object for programs. Rule: figures are the gateway's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatemill.cli.stream import Summary


def footer(summary: Summary) -> str:
    """What is known of an answer, on one line."""
    from gatemill.core.money import dollars

    parts = [summary.model]
    if summary.input_tokens is not None:
        parts.append(f"in {summary.input_tokens} out {summary.output_tokens}")
    if summary.cost_microusd is not None:
        parts.append(dollars(summary.cost_microusd))
    elif summary.attempts is not None:
        parts.append("price unknown")
    if summary.first_token_ms is not None:
        parts.append(f"first token {summary.first_token_ms:.0f} ms")
    parts.append(f"total {summary.total_ms:.0f} ms")
    if summary.cache:
        parts.append(f"cache {summary.cache}")
    if (summary.attempts or 1) > 1:
        parts.append(f"{summary.attempts} attempts")
    return " · ".join([*parts, summary.request_id]).rstrip(" ·")


def told(text: str, summary: Summary) -> dict[str, Any]:
    """An answer for programs."""
    import msgspec

    from gatemill.wire.limits import usd

    said = msgspec.structs.asdict(summary)
    cost = said.pop("cost_microusd")
    return {**said, "cost_usd": None if cost is None else usd(cost), "text": text}

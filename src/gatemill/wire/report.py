"""A usage report as rows that people and spreadsheets read. Rule: the same rows as JSON and as CSV."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from gatemill.wire.limits import usd
from gatemill.wire.moments import iso

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# What a report can be told by, and the name of its column.
LABELS = {
    "key": "key_id",
    "user": "user_id",
    "team": "team_id",
    "model": "model",
    "provider": "provider",
    "target": "target_model",
    "operation": "operation",
    "version": "version",
    "cache": "cache",
}
STEPS = ("minute", "hour", "day")
_COUNTS = ("requests", "attempts", "failed")
_PROMPT = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "input_audio_tokens")
_COMPLETION = ("output_tokens", "reasoning_tokens", "output_audio_tokens")
# A spreadsheet takes a cell that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def columns(by: Sequence[str]) -> tuple[str, ...]:
    """The names of a report's columns."""
    labels = [LABELS.get(name, name) for name in by]
    return (
        *labels,
        *_COUNTS,
        *("prompt_tokens", "cache_read_tokens", "completion_tokens", "reasoning_tokens"),
        *("cost_usd", "unpriced", "estimated", "mean_latency_ms"),
    )


def row(
    by: Sequence[str], line: Mapping[str, Any], mean_latency_ms: float | None
) -> dict[str, Any]:
    """One line of the ledger's report, as `columns` names it."""
    values = {
        **line,
        "prompt_tokens": sum(line[name] for name in _PROMPT),
        "completion_tokens": sum(line[name] for name in _COMPLETION),
        "cost_usd": usd(line["cost_microusd"]),
        "mean_latency_ms": None if mean_latency_ms is None else round(mean_latency_ms, 3),
    }
    for step in STEPS:
        if step in by:
            at = iso(line["start_s"])
            values[step] = at[:10] if step == "day" else at
    return {name: values[name] for name in columns(by)}


def summary(said: Mapping[str, Any]) -> dict[str, Any]:
    """The ledger's summary with its money in dollars."""
    rest = {name: value for name, value in said.items() if name != "cost_microusd"}
    return {"cost_usd": usd(said["cost_microusd"]), **rest}


def as_csv(by: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows below their names, as RFC 4180 has it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns(by))
    writer.writerows([_cell(value) for value in each.values()] for each in rows)
    return out.getvalue()


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    is_label = isinstance(value, str)
    return f"'{value}" if is_label and value.startswith(_FORMULA) else value

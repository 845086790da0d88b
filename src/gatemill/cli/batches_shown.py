"""Batches on a terminal: rows, one, and how far it is. Rule: asked for again, for OpenAI has no events here."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from gatemill.cli.asking import asked
from gatemill.cli.bar import Bar
from gatemill.cli.exchange import Absent
from gatemill.cli.jobs_shown import Table, duration, moment
from gatemill.cli.terminal import note, print_text
from gatemill.cli.watching import AWAY_S_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.cli.asking import Where

Batch = dict[str, Any]
ENDED = frozenset(("completed", "failed", "cancelled", "expired"))
_PAUSE_S = 1.0
_MISTAKES_MAX = 20  # lines that cannot be sent; --json shows all


def table(batches: Sequence[Batch], now_s: float) -> Table:
    """The rows of `batch ls`."""
    rows = []
    for batch in batches:
        counts = _counts(batch)
        done = f"{counts['completed'] + counts['failed']}/{counts['total']}"
        age = duration(now_s - batch["created_at"])
        rows.append((batch["id"], batch["status"], done, str(counts["failed"]), age, _cost(batch)))
    return ("ID", "STATUS", "DONE", "FAILED", "AGE", "COST"), rows


def show(batch: Batch) -> None:
    """One batch: a line for each fact that there is, then the lines that cannot be sent."""
    for name, text in _lines(batch):
        if text:
            print_text(f"{name:<10} {text}")
    mistakes = (batch.get("errors") or {}).get("data") or []
    for each in mistakes[:_MISTAKES_MAX]:
        print_text(f"line {each.get('line') or '-'}: {each['message']}")
    if len(mistakes) > _MISTAKES_MAX:
        print_text(f"… and {len(mistakes) - _MISTAKES_MAX} more; --json shows all")


def watch(where: Where, path: str) -> Batch:
    """The batch as it ended. Raises Failure."""
    started_s = seen_s = time.monotonic()
    told = ""
    with Bar() as bar:
        while True:
            try:
                batch = asked(where, "GET", path)
            except Absent:
                if time.monotonic() - seen_s > AWAY_S_MAX:
                    raise
                time.sleep(_PAUSE_S)
                continue
            seen_s = time.monotonic()
            if batch["status"] in ENDED:
                break
            if batch["status"] != told:
                told = batch["status"]
                note(told)
            counts = _counts(batch)
            if counts["total"]:
                done = counts["completed"] + counts["failed"]
                bar.show(done, counts["total"], _so_far(batch))
            time.sleep(_PAUSE_S)
    note(f"{batch['status']}, watched for {duration(seen_s - started_s)}: {_result(batch)}")
    return batch


def _so_far(batch: Batch) -> str:
    failed = _counts(batch)["failed"]
    return ", ".join([_cost(batch), *([f"{failed} failed"] if failed else [])])


def _result(batch: Batch) -> str:
    counts = _counts(batch)
    return f"{counts['completed']} done, {counts['failed']} failed, {_cost(batch)}"


def _lines(batch: Batch) -> list[tuple[str, str]]:
    return [
        ("id", batch["id"]),
        ("status", batch["status"]),
        ("endpoint", batch["endpoint"]),
        ("lines", f"{total}: {_result(batch)}" if (total := _counts(batch)["total"]) else ""),
        ("input", batch["input_file_id"]),
        ("answers", batch.get("output_file_id") or ""),
        ("errors", batch.get("error_file_id") or ""),
        ("created", moment(batch["created_at"])),
        ("ended", moment(ended) if (ended := _ended(batch)) else ""),
        ("expires", "" if ended else moment(batch.get("expires_at"))),
        ("metadata", " ".join(f"{k}={v}" for k, v in (batch.get("metadata") or {}).items())),
    ]


def _ended(batch: Batch) -> float | None:
    return next((batch[f"{word}_at"] for word in ENDED if batch.get(f"{word}_at")), None)


def _counts(batch: Batch) -> dict[str, int]:
    return batch.get("request_counts") or {"total": 0, "completed": 0, "failed": 0}


def _cost(batch: Batch) -> str:
    cost = batch.get("cost_usd")
    return "price unknown" if cost is None else f"${cost}"

"""Jobs on a terminal. Rule: what the API says, in fewer words; nothing is asked here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from gatemill.cli.terminal import console, print_json, print_table, print_text
from gatemill.wire.moments import iso

Job = dict[str, Any]
Table = tuple[Sequence[str], Sequence[Sequence[str]]]
_COLUMNS_MIN = 2
_CUT_CHARS_MIN = 24  # a column with less room is left out
_RESULT_CHARS_MAX = 2_000  # of a result on a terminal; --json shows all


def table(jobs: Sequence[Job], now_s: float) -> Table:
    """The rows of `jobs ls`."""
    rows = [
        (
            job["id"],
            state(job),
            job["kind"],
            duration(now_s - job["created_at"]),
            f"{job['attempt']}/{job['attempts_max']}",
            job["priority"],
        )
        for job in jobs
    ]
    return ("ID", "STATE", "KIND", "AGE", "TRY", "PRIORITY"), rows


def letters(jobs: Sequence[Job], now_s: float) -> Table:
    """The rows of `jobs dlq ls`."""
    rows = [
        (
            job["id"],
            (job["error"] or {}).get("code", "-"),
            job["kind"],
            duration(now_s - job["finished_at"]),
            (job["error"] or {}).get("message", ""),
        )
        for job in jobs
    ]
    return ("ID", "ERROR", "KIND", "DIED", "MESSAGE"), rows


def print_list(
    found: Sequence[Job], table: Callable[[Sequence[Job]], Table], *, as_json: bool
) -> None:
    """Entries of a list: as the table that is made of them, or as JSON."""
    if as_json:
        print_json(found)
    else:
        print_fitting(table(found))


def print_fitting(table: Table) -> None:
    """A table whose last columns are cut or left out where they do not fit: an id is never broken."""
    columns, rows = table
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    count, room = len(columns), console().width
    while count > _COLUMNS_MIN:
        left = room - sum(widths[: count - 1]) - 2 * (count - 1)
        if left >= min(widths[count - 1], _CUT_CHARS_MIN):
            rows = [(*row[: count - 1], _cut(row[count - 1], left)) for row in rows]
            break
        count -= 1
    print_table(columns[:count], [row[:count] for row in rows])


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1] + "…"


def queues(found: Sequence[Job]) -> Table:
    """The rows of `jobs queues`."""
    rows = []
    for queue in found:
        waiting = queue["waiting"]
        oldest_s = max((each["oldest_s"] for each in waiting.values()), default=None)
        counts = [str(waiting.get(word, {}).get("jobs", 0)) for word in ("high", "default", "low")]
        name = queue["name"] + (" (paused)" if queue["paused"] else "")
        more = (str(queue["scheduled"]), str(queue["running"]), duration(oldest_s))
        rows.append((name, *counts, *more))
    return ("QUEUE", "HIGH", "DEFAULT", "LOW", "SCHEDULED", "RUNNING", "OLDEST"), rows


def show(job: Job) -> None:
    """One job: a line for each fact that there is, then its history, then its result."""
    for name, text in _lines(job):
        if text:
            print_text(f"{name:<10} {text}")
    if job["attempts"]:
        print_text("")
        print_table(("TRY", "STARTED", "TOOK", "OUTCOME", "WHY"), map(_attempt, job["attempts"]))
    if job["result"] is not None:
        text = msgspec.json.format(msgspec.json.encode(job["result"]), indent=2).decode()
        more = "\n… --json shows all" if len(text) > _RESULT_CHARS_MAX else ""
        print_text(f"\n{text[:_RESULT_CHARS_MAX]}{more}")


def state(job: Job) -> str:
    """Its state in one word or two."""
    return "stopping" if job.get("cancelling") else str(job["state"])


def ending(job: Job) -> str:
    """How it ended, in one line."""
    parts = [state(job)]
    if job["started_at"] and job["finished_at"]:
        parts.append(f"after {duration(job['finished_at'] - job['started_at'])}")
    if job["attempt"] > 1:
        parts.append(f"at attempt {job['attempt']}")
    if float(job.get("cost_usd") or 0):
        parts.append(f"${job['cost_usd']}")
    text = ", ".join(parts)
    return f"{text}: {job['error']['message']}" if job["error"] else text


def moment(at_s: float | None) -> str:
    """A moment in UTC."""
    return "-" if at_s is None else iso(at_s)


def duration(seconds: float | None) -> str:
    """Such as 320 ms, 4.2 s, 12 min, 3.1 h, 2.5 d."""
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    for least_s, unit_s, unit in ((172_800, 86_400, "d"), (5_400, 3_600, "h"), (120, 60, "min")):
        if seconds >= least_s:
            return f"{_short(seconds / unit_s)} {unit}"
    return f"{_short(seconds)} s"


def _short(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def _lines(job: Job) -> list[tuple[str, str]]:
    progress, error = job["progress"], job["error"]
    metadata = " ".join(f"{name}={value}" for name, value in (job["metadata"] or {}).items())
    tries = f"{job['attempt']} of {job['attempts_max']}"
    return [
        ("id", job["id"]),
        ("kind", job["kind"]),
        ("state", state(job) + (f", {tries} attempts" if job["attempt"] else "")),
        ("progress", "" if progress is None else far(progress)),
        ("parts", f"{job['parts'] - job['parts_open']} of {job['parts']}" if job["parts"] else ""),
        ("error", "" if error is None else f"{error['code']}: {error['message']}"),
        ("cost", "unknown" if job["cost_usd"] is None else f"${job['cost_usd']}"),
        ("priority", f"{job['priority']}, queue {job['queue']}"),
        ("created", moment(job["created_at"])),
        ("runs at", moment(job["run_at"]) if job["state"] == "scheduled" else ""),
        ("started", moment(job["started_at"]) if job["started_at"] else ""),
        ("finished", moment(job["finished_at"]) if job["finished_at"] else ""),
        ("expires", moment(job["expires_at"]) if job["expires_at"] else ""),
        ("callback", job["callback_url"] or ""),
        ("part of", job["parent_id"] or ""),
        ("metadata", metadata),
    ]


def far(progress: Job) -> str:
    """How far it is: "40 of 100 (40%) reading"."""
    current, total = progress["current"], progress["total"]
    share = f" of {total} ({current / total:.0%})" if total else ""
    return f"{current}{share} {progress['note']}".rstrip()


def _attempt(each: Job) -> tuple[str, ...]:
    took_s = None if each["ended_at"] is None else each["ended_at"] - each["started_at"]
    error = each["error"]
    why = "" if error is None else f"{error['code']}: {error['message']}"
    number = str(each["number"])
    return number, moment(each["started_at"]), duration(took_s), each["outcome"], why

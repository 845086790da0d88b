"""Webhooks on a terminal. Rule: what the API says, in fewer words; nothing is asked here."""

from __future__ import annotations

from collections.abc import Sequence

from gatemill.cli.jobs_shown import Job, Table, duration, moment
from gatemill.cli.terminal import print_table, print_text


def endpoints(found: Sequence[Job]) -> Table:
    """The rows of `webhooks ls`."""
    rows = [
        (
            each["id"],
            "enabled" if each["enabled"] else "disabled",
            each["url"],
            " ".join(each["events"]),
            each["disabled_reason"] or each["description"],
        )
        for each in found
    ]
    return ("ID", "STATE", "URL", "EVENTS", "ABOUT"), rows


def deliveries(found: Sequence[Job], now_s: float) -> Table:
    """The rows of `webhooks deliveries`."""
    rows = [
        (
            each["id"],
            each["state"],
            each["event"],
            f"{each['attempt']}/{each['attempts_max']}",
            _came_to(each, now_s),
            each["subject"],
            each["webhook_id"] or each["url"],
        )
        for each in found
    ]
    return ("ID", "STATE", "EVENT", "TRY", "STATUS", "OF", "TO"), rows


def show(found: Job) -> None:
    """One delivery: a line for each fact that there is, then its tries."""
    error = found["error"]
    facts = (
        ("id", found["id"]),
        ("event", f"{found['event']} of {found['subject']}"),
        ("to", found["webhook_id"] or found["url"]),
        ("state", f"{found['state']}, {found['attempt']} of {found['attempts_max']} attempts"),
        ("error", "" if error is None else f"{error['code']}: {error['message']}"),
        ("created", moment(found["created_at"])),
        ("next try", moment(found["next_try_at"]) if found["next_try_at"] else ""),
        ("delivered", moment(found["delivered_at"]) if found["delivered_at"] else ""),
    )
    for name, text in facts:
        if text:
            print_text(f"{name:<10} {text}")
    if found["tries"]:
        print_text("")
        rows = [
            (
                moment(each["at"]),
                str(each["status"] or "-"),
                duration(each["took_ms"] / 1000),
                each["error"] or "",
            )
            for each in found["tries"]
        ]
        print_table(("TRIED", "STATUS", "TOOK", "WHY"), rows)


def _came_to(each: Job, now_s: float) -> str:
    if each["status"]:
        return str(each["status"])
    if each["next_try_at"] and each["attempt"]:
        return f"again in {duration(max(0.0, each['next_try_at'] - now_s))}"
    return str(each["error"]["code"]) if each["error"] else "-"

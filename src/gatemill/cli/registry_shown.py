"""The registry as tables for people."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gatemill.cli.terminal import note, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence


def versions(found: Sequence[dict[str, Any]], model: dict[str, Any]) -> None:
    """A line for each version, with the aliases that point to it."""
    aliases: dict[int, list[str]] = {}
    for alias, number in model["aliases"].items():
        aliases.setdefault(number, []).append(alias)
    print_table(
        ("VERSION", "ALIASES", "FROM", "ACCURACY", "MADE", "BY"),
        [
            (
                each["id"],
                ", ".join(aliases.get(each["version"], ()))
                or ("archived" if each["archived"] else "-"),
                each["origin"] or each["source"] or "template",
                _accuracy(each["metrics"]),
                when(each["created_at"]),
                each["created_by"],
            )
            for each in found
        ],
    )


def events(found: Sequence[dict[str, Any]]) -> None:
    """A line for each move."""
    print_table(
        ("WHEN", "ALIAS", "FROM", "TO", "HOW", "BY", "WHY"),
        [
            (
                when(each["at"]),
                each["alias"],
                str(each["from_version"] or "-"),
                str(each["to_version"] or "-"),
                each["action"],
                each["actor"],
                each["reason"],
            )
            for each in found
        ],
    )


def moved(said: dict[str, Any], *, as_json: bool) -> None:
    """What became of an alias."""
    if as_json:
        print_json(said)
        return
    before = f", was {said['model']}:{said['previous']}" if said["previous"] else ""
    note(f"{said['model']}@{said['alias']} is {said['model']}:{said['version']}{before}.")


def when(at: float) -> str:
    """A moment in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _accuracy(metrics: dict[str, Any]) -> str:
    found = metrics.get("accuracy")
    return f"{found:.1%}" if isinstance(found, (int, float)) else "-"

"""The names of the registry on a terminal. Rule: asks a running gateway; what stands in its file is `models`'."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatemill.cli.asking import pages
from gatemill.cli.terminal import print_json, print_table

if TYPE_CHECKING:
    from gatemill.cli.asking import Where

NAMES_MAX = 1_000  # as many as a registry holds


def show(where: Where, *, as_json: bool) -> None:
    """Models with what a call without a version means now. Raises Failure."""
    found = pages(where, "/v1/registry", {"kind": "model"}, NAMES_MAX)
    if as_json:
        print_json(found)
        return
    header = ("NAME", "TASK", "MEANS", "ALIASES", "ABOUT")
    print_table(header, [_row(each) for each in found])


def _row(named: dict[str, Any]) -> tuple[str, ...]:
    aliases = ", ".join(f"{alias}={number}" for alias, number in named["aliases"].items())
    return (
        named["id"],
        named["task"],
        named["version"] or "-",
        aliases or "-",
        named["description"],
    )

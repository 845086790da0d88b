"""`gatemill alerts`: what is wrong, and what was. Rule: asks a running gateway, as any program can."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import typer

from gatemill.cli.asking import asked
from gatemill.cli.gateway_options import DATA, Data, Key, Limit, Url
from gatemill.cli.ledger_access import AsJson
from gatemill.cli.terminal import digits, note
from gatemill.core.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Sequence

PATH = "/api/v1/alerts"

app = typer.Typer(
    help="Incidents: what is wrong with the gateway, and what was.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("ls")
def ls(
    only_open: Annotated[bool, typer.Option("--open", help="Only what goes on.")] = False,
    name: Annotated[str, typer.Option(help="Only of this rule, such as BreakerOpen.")] = "",
    limit: Limit = 20,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """List incidents, the newest first. Says what to do about those that are open."""
    from gatemill.cli import jobs_shown

    asks = {"state": "open" if only_open else "", "name": name}
    query = urlencode({word: value for word, value in asks.items() if value} | {"limit": limit})
    found = asked((url, key, data_dir), "GET", f"{PATH}?{query}")["data"]
    if not found and not as_json:
        note("Nothing is wrong." if only_open else "Nothing has been wrong.")
        return
    table = partial(_table, now_s=SystemClock().unix_s())
    jobs_shown.print_list(found, table, as_json=as_json)
    if not as_json:
        for rule, remedy in {
            one["name"]: one["remedy"] for one in found if one["state"] == "open"
        }.items():
            note(f"{rule}: {remedy}")


def _table(found: Sequence[dict[str, Any]], now_s: float) -> tuple[Any, Any]:
    from gatemill.cli.jobs_shown import duration

    rows = [
        (
            one["name"],
            one["subject"] or "-",
            one["state"],
            one["severity"],
            f"{digits(one['value'])} of {digits(one['threshold'])}",
            duration(now_s - one["since"]),
            duration((one["closed_at"] or now_s) - one["since"]),
        )
        for one in found
    ]
    return ("ALERT", "OF", "STATE", "SEVERITY", "VALUE", "BEGAN", "LASTED"), rows

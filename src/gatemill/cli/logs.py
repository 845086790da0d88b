"""`gatemill logs`: the requests of a running gateway, a line each. Rule: what the access log says, and no more."""

from __future__ import annotations

import re
import sys
from typing import Annotated, Any

import typer

from gatemill.cli.completing import models
from gatemill.cli.gateway_options import DATA, Data, Key, Url
from gatemill.cli.ledger_access import AsJson
from gatemill.cli.terminal import note, paint, print_text

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_AWAY_S = 300.0
_NEWEST_MAX = 2000


def logs(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    status: Annotated[str, typer.Option(help="Only these, such as 429 or 5xx.")] = "",
    model: Annotated[
        str, typer.Option("--model", "-m", help="Only this model.", autocompletion=models)
    ] = "",
    of_key: Annotated[str, typer.Option(metavar="ID", help="Only requests of this key.")] = "",
    since: Annotated[
        str, typer.Option(help="From then on: 10m for so long ago, or a time in UTC.")
    ] = "",
    limit: Annotated[int, typer.Option(min=0, max=2000, help="Lines to begin with.")] = 20,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Show the requests of a running gateway, and follow them."""
    from gatemill.cli.tailing import Tail

    asks = {"status": status, "model": model, "key": of_key}
    tail = Tail((url, key, data_dir), asks)
    try:
        first = tail.newest(since, _NEWEST_MAX)
        for line in first if since else first[len(first) - min(limit, len(first)) :]:
            _print(line, as_json=as_json)
        if not follow:
            return
        missed = 0
        for line in tail.follow(_AWAY_S):
            _print(line, as_json=as_json)
            if tail.missed > missed:
                note(f"{tail.missed - missed} lines came faster than they were read")
                missed = tail.missed
    finally:
        tail.close()


def _print(line: dict[str, Any], *, as_json: bool) -> None:
    import msgspec

    from gatemill.observe.access import Access, as_text

    if as_json:
        print_text(msgspec.json.encode(line).decode())
    else:
        text = as_text([msgspec.convert(line, Access)]).decode().rstrip("\n")
        print_text(text if paint("", "0", sys.stdout) else _ANSI.sub("", text))
    sys.stdout.flush()

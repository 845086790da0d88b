"""`gatemill recordings`: what was kept for replay. Rule: asks a running gateway, as any program can."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, urlencode

import typer

from gatemill.cli.asking import asked, pages
from gatemill.cli.failure import Failure
from gatemill.cli.gateway_options import DATA, Data, Key, Limit, Url
from gatemill.cli.ledger_access import AsJson
from gatemill.cli.terminal import note, print_json
from gatemill.core.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Sequence

PATH = "/v1/recordings"
Model = Annotated[str, typer.Option(help="Only of this model.")]
OfKey = Annotated[str, typer.Option("--of-key", metavar="ID", help="Only of this key.")]
Since = Annotated[str, typer.Option(help="Nothing before: 7d for so long ago, or a date.")]

app = typer.Typer(
    help="Requests and answers kept for replay.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("ls")
def ls(
    model: Model = "",
    of_key: OfKey = "",
    since: Since = "",
    limit: Limit = 20,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """List recordings, the newest first."""
    from gatemill.cli import jobs_shown

    asks = {"model": model, "key": of_key, "since": since}
    found = pages((url, key, data_dir), PATH, asks, limit, "request_id")
    table = partial(_table, now_s=SystemClock().unix_s())
    jobs_shown.print_list(found, table, as_json=as_json)


@app.command("show")
def show(
    request_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the request.")],
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
) -> None:
    """Show a recording, whole."""
    print_json(asked((url, key, data_dir), "GET", f"{PATH}/{quote(request_id, safe='')}"))


@app.command("rm")
def remove(
    request_ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="Ids of requests.")
    ] = None,
    model: Model = "",
    of_key: OfKey = "",
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
) -> None:
    """Delete recordings: these, those of a model or a key, or all."""
    where = (url, key, data_dir)
    filters = {name: value for name, value in {"model": model, "key": of_key}.items() if value}
    deleted = 0
    for request_id in request_ids or []:
        deleted += asked(where, "DELETE", f"{PATH}/{quote(request_id, safe='')}")["deleted"]
    if filters or every:
        query = urlencode({**filters, **({"all": "true"} if every else {})})
        deleted += asked(where, "DELETE", f"{PATH}?{query}")["deleted"]
    elif not request_ids:
        raise Failure("nothing is named", fix="name ids, --model, --of-key or --all", code=2)
    note(f"{deleted} recordings deleted")


def _table(found: Sequence[dict[str, Any]], now_s: float) -> tuple[Any, Any]:
    from gatemill.cli.jobs_shown import duration

    rows = [
        (
            one["request_id"],
            one["model"],
            one["operation"],
            duration(now_s - one["at"]),
            str(one["bytes"]),
            one["error"] or "ok",
        )
        for one in found
    ]
    return ("REQUEST", "MODEL", "FORMAT", "AGE", "BYTES", "ENDED"), rows

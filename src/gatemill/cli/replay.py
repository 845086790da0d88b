"""`gatemill replay`: recorded requests against another model. Rule: asks a running gateway."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gatemill.cli import options
from gatemill.cli.asking import told
from gatemill.cli.gateway_options import DATA, Data, Key, Url
from gatemill.cli.ledger_access import AsJson
from gatemill.cli.recordings import Model, OfKey, Since
from gatemill.cli.terminal import note, print_json, print_text

KIND = "requests.replay"


def replay(
    model: Model = "",
    of_key: OfKey = "",
    since: Since = "",
    limit: Annotated[
        int, typer.Option(min=1, max=10_000, help="Most requests, newest first.")
    ] = 100,
    against: Annotated[
        str, typer.Option(metavar="MODEL", help="Who is asked now; by default the same.")
    ] = "",
    params: Annotated[
        str,
        typer.Option(
            "--params", metavar="JSON|@FILE", help='Fields that replace: {"temperature": 0}'
        ),
    ] = "",
    prompt: Annotated[str, typer.Option(help="A prompt of the registry instead.")] = "",
    judge: Annotated[
        str, typer.Option(metavar="MODEL", help="Who says which answer is better.")
    ] = "",
    similarity: Annotated[
        str, typer.Option(metavar="MODEL", help="An embedding model that compares answers.")
    ] = "",
    texts: Annotated[bool, typer.Option("--texts", help="Keep how the answers begin.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow it to its end.")] = True,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Ask recorded requests again, elsewhere, and compare."""
    where = (url, key, data_dir)
    change = {
        "model": against or None,
        "params": options.arguments(params, "--params") if params else None,
        "prompt": prompt or None,
    }
    args: dict[str, Any] = {
        "filter": {"model": model, "key": of_key, "since": since or None, "limit": limit},
        "against": {name: value for name, value in change.items() if value is not None},
        "texts": texts,
    }
    for name, value in (("judge", judge), ("similarity", similarity)):
        if value:
            args[name] = {"model": value}
    job = told(where, "POST", "/v1/jobs", {"kind": KIND, "args": args})
    if not wait:
        print_text(job["id"])
        note(f"{job['state']}: gatemill jobs watch {job['id']}")
        return
    from gatemill.cli import replay_shown, watching

    ended = watching.watch(where, job["id"], streams=False)
    if as_json:
        print_json(ended.get("result"))
    elif ended["state"] == "succeeded":
        replay_shown.show(ended["result"])
    if ended["state"] != "succeeded":
        raise typer.Exit(1)

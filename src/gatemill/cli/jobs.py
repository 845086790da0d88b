"""`gatemill jobs`: work that outlives a request. Rule: asks a running gateway, as any program can."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any
from urllib.parse import quote

import typer

from gatemill.cli import dead_letters, options
from gatemill.cli.asking import Where, asked, pages, told, told_with
from gatemill.cli.gateway_options import DATA, Data, Key, Kind, Limit, Metadata, Url
from gatemill.cli.ledger_access import AsJson
from gatemill.cli.terminal import note, print_json, print_table, print_text
from gatemill.core.clock import SystemClock

JobId = Annotated[str, typer.Argument(metavar="ID", help="Id of the job.")]
Args = Annotated[
    str, typer.Option("--args", metavar="JSON|@FILE", help="Arguments; @- reads standard input.")
]

app = typer.Typer(
    help="Submit, watch, cancel and replay jobs.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(dead_letters.app, name="dlq")


@app.command("submit")
def submit(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="What is to be done, such as chat.completion.")
    ],
    args: Args = "{}",
    priority: Annotated[str, typer.Option(help="high, default or low.")] = "",
    run_at: Annotated[
        str, typer.Option(help="Not before: a time such as 2026-12-24T18:00:00Z, or +90m.")
    ] = "",
    ttl: Annotated[str, typer.Option(help="Begin within this time or never: 90s, 12h.")] = "",
    callback_url: Annotated[str, typer.Option(help="URL that hears of its end.")] = "",
    metadata: Metadata = None,
    idempotency_key: Annotated[
        str, typer.Option(help="The same key again gives the same job, not a second one.")
    ] = "",
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for its end; print its result.")
    ] = False,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Submit a job; print its id, or with --wait its result."""
    where = (url, key, data_dir)
    asks: dict[str, Any] = {
        "kind": kind,
        "args": options.arguments(args),
        "priority": priority or None,
        "run_at": options.moment(run_at, SystemClock().unix_s()) if run_at else None,
        "ttl": options.seconds(ttl, "--ttl ") if ttl else None,
        "callback_url": callback_url or None,
        "metadata": options.pairs(metadata or []) or None,
    }
    asks = {name: value for name, value in asks.items() if value is not None}
    headers = {"idempotency-key": idempotency_key} if idempotency_key else {}
    job = told_with(where, ("POST", "/v1/jobs"), asks, headers)
    if wait:
        _finish(where, job, as_json=as_json)
    elif as_json:
        print_json(job)
    else:
        print_text(job["id"])
        note(f"{job['state']}: gatemill jobs watch {job['id']}")


@app.command("ls")
def ls(
    state: Annotated[str, typer.Option(help="Only those in this state.")] = "",
    kind: Kind = "",
    limit: Limit = 20,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """List jobs, the newest first."""
    from gatemill.cli import jobs_shown

    found = pages((url, key, data_dir), "/v1/jobs", {"state": state, "kind": kind}, limit)
    table = partial(jobs_shown.table, now_s=SystemClock().unix_s())
    jobs_shown.print_list(found, table, as_json=as_json)


@app.command("show")
def show(
    job_id: JobId, url: Url = None, key: Key = None, data_dir: Data = DATA, as_json: AsJson = False
) -> None:
    """Show a job: state, cost, progress, attempts, result."""
    job = asked((url, key, data_dir), "GET", _path(job_id))
    if as_json:
        print_json(job)
        return
    from gatemill.cli import jobs_shown

    jobs_shown.show(job)


@app.command("watch")
def watch(job_id: JobId, url: Url = None, key: Key = None, data_dir: Data = DATA) -> None:
    """Follow a job to its end, with its progress and its text."""
    from gatemill.cli import watching

    where = (url, key, data_dir)
    asked(where, "GET", _path(job_id))  # a wrong id is told before anything else
    _fail_unless_succeeded(watching.watch(where, job_id))


@app.command("cancel")
def cancel(
    job_ids: Annotated[list[str], typer.Argument(metavar="ID", help="Ids of jobs.")],
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
) -> None:
    """Cancel jobs, those that wait and those that run."""
    for job_id in job_ids:
        job = asked((url, key, data_dir), "DELETE", _path(job_id))
        state = "is being stopped" if job.get("state") == "running" else f"is {job['state']}"
        note(f"{job_id} {state}")


@app.command("replay")
def replay(
    job_id: JobId,
    args: Args = "",
    priority: Annotated[str, typer.Option(help="Another priority.")] = "",
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
) -> None:
    """Queue a dead letter again, with other arguments if you like."""
    asks: dict[str, Any] = {"args": options.arguments(args)} if args else {}
    if priority:
        asks["priority"] = priority
    path = f"/v1/dead_letters/{quote(job_id, safe='')}/replay"
    job = told((url, key, data_dir), "POST", path, asks)
    note(f"{job_id} is {job['state']}: gatemill jobs watch {job_id}")


@app.command("queues")
def queues(
    pause: Annotated[
        str, typer.Option(metavar="NAME", help="First hold this one: none of its jobs begins.")
    ] = "",
    resume: Annotated[str, typer.Option(metavar="NAME", help="First let this one go on.")] = "",
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Show what waits in each queue, and what runs."""
    where = (url, key, data_dir)
    for name, verb in ((pause, "pause"), (resume, "resume")):
        if name:
            asked(where, "POST", f"/v1/queues/{quote(name, safe='')}/{verb}")
    found = asked(where, "GET", "/v1/queues")["data"]
    if as_json:
        print_json(found)
        return
    from gatemill.cli import jobs_shown

    print_table(*jobs_shown.queues(found))


def _finish(where: Where, job: dict[str, Any], *, as_json: bool) -> None:
    from gatemill.cli import watching

    ended = watching.watch(where, job["id"], streams=False)
    if as_json:
        print_json(ended)
    elif ended["state"] == "succeeded":
        print_json(ended["result"])
    _fail_unless_succeeded(ended)


def _fail_unless_succeeded(job: dict[str, Any]) -> None:
    if job["state"] != "succeeded":
        raise typer.Exit(1)


def _path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"

"""`gatemill jobs dlq`: jobs that could not be done. Rule: many at once only after a look, or --yes."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, urlencode

import typer

from gatemill.cli.asking import asked, pages, told
from gatemill.cli.failure import Failure
from gatemill.cli.gateway_options import DATA, Data, Key, Kind, Limit, Url
from gatemill.cli.ledger_access import AsJson
from gatemill.cli.terminal import note, print_json, print_text
from gatemill.core.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

_PATH = "/v1/dead_letters"

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="Ids of dead letters.")]
All = Annotated[bool, typer.Option("--all", help="Every one that the key may see.")]
Error = Annotated[str, typer.Option(help="Only those that died of this error code.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say which ones.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

app = typer.Typer(
    help="Look at dead letters; replay or purge them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("ls")
def ls(
    kind: Kind = "",
    error: Error = "",
    limit: Limit = 20,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """List dead letters, the newest first. Looking changes nothing."""
    from gatemill.cli import jobs_shown

    found = pages((url, key, data_dir), _PATH, {"kind": kind, "error": error}, limit)
    table = partial(jobs_shown.letters, now_s=SystemClock().unix_s())
    jobs_shown.print_list(found, table, as_json=as_json)


@app.command("show")
def show(
    job_id: Annotated[str, typer.Argument(metavar="ID", help="Id of a dead letter.")],
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Show a dead letter with its attempts and arguments."""
    import msgspec

    from gatemill.cli import jobs_shown

    job = asked((url, key, data_dir), "GET", f"{_PATH}/{quote(job_id, safe='')}")
    if as_json:
        print_json(job)
        return
    jobs_shown.show(job)
    if job["args"] is not None:
        print_text("\n" + msgspec.json.format(msgspec.json.encode(job["args"]), indent=2).decode())


@app.command("replay")
def replay(
    job_ids: Ids = None,
    all_: All = False,
    kind: Kind = "",
    error: Error = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
) -> None:
    """Queue dead letters again."""
    where = (url, key, data_dir)
    meant = _meant(job_ids, kind, error, is_all=all_)
    found = told(where, "POST", f"{_PATH}/replay", {**meant, "dry_run": True})
    if not _goes_on(found, "replay", dry_run=dry_run, asks=not yes and not job_ids):
        return
    done = _in_rounds(lambda: told(where, "POST", f"{_PATH}/replay", meant))
    note(f"{done} queued again")


@app.command("purge")
def purge(
    job_ids: Ids = None,
    all_: All = False,
    kind: Kind = "",
    error: Error = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
) -> None:
    """Throw dead letters away."""
    where = (url, key, data_dir)
    meant = _meant(job_ids, kind, error, is_all=all_)
    query = f"{_PATH}?{urlencode(meant.get('filter', {}))}"
    found = {"ids": job_ids, "has_more": False} if job_ids else asked(where, "DELETE", query)
    if not _goes_on(found, "purge", dry_run=dry_run, asks=not yes):
        return
    for job_id in job_ids or ():
        asked(where, "DELETE", f"{_PATH}/{quote(job_id, safe='')}")
    sure = f"{query}&confirm=true"
    done = len(job_ids) if job_ids else _in_rounds(lambda: asked(where, "DELETE", sure))
    note(f"{done} purged")


def _in_rounds(act: Callable[[], dict[str, Any]]) -> int:
    """How many it was done to: a round does as many as the gateway takes at a time."""
    done: int = 0
    while True:
        said = act()
        done += said["done"]
        if not said["has_more"] or not said["done"]:
            return done


def _meant(job_ids: list[str] | None, kind: str, error: str, *, is_all: bool) -> dict[str, Any]:
    """What the request says of which are meant. Raises Failure where nobody said it."""
    filters = {name: value for name, value in (("kind", kind), ("error", error)) if value}
    if bool(job_ids) == (is_all or bool(filters)):
        fix = "name ids, or --kind and --error, or --all"
        raise Failure("say which dead letters are meant", fix=fix, code=2)
    return {"ids": job_ids} if job_ids else {"filter": filters}


def _goes_on(found: dict[str, Any], verb: str, *, dry_run: bool, asks: bool) -> bool:
    """Whether it is to be done, after the ids have been told."""
    ids, more = found["ids"], " and more" if found["has_more"] else ""
    if dry_run:
        for job_id in ids:
            print_text(job_id)
        note(f"would {verb} {len(ids)}{more}")
        return False
    if not ids:
        note(f"nothing to {verb}")
        return False
    if not asks:
        return True
    if not sys.stdin.isatty():
        raise Failure(f"{verb} {len(ids)}{more}?", fix="--yes, or --dry-run for a look", code=2)
    return bool(typer.confirm(f"{verb} {len(ids)}{more}?", err=True))

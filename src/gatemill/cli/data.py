"""`gatemill data`: what is kept where, and deleting it. Rule: asks a running gateway, which alone knows all of it."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from gatemill.cli.asking import told
from gatemill.cli.failure import Failure
from gatemill.cli.gateway_options import DATA, Data, Key, Url
from gatemill.cli.ledger_access import AsJson
from gatemill.cli.terminal import note, print_json, print_table

PATH = "/api/v1/data/purge"

app = typer.Typer(
    help="What is kept where, and deleting it.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("ls")
def ls(as_json: AsJson = False) -> None:
    """List what is kept, where and for how long. Says what `purge` does with it."""
    from msgspec import to_builtins

    from gatemill.ledger import kept

    if as_json:
        print_json(to_builtins(kept.TABLES))
        return
    rows = [(one.table, one.holds, one.until.replace("`", ""), one.purge) for one in kept.TABLES]
    print_table(("TABLE", "HOLDS", "UNTIL", "PURGE"), rows)


@app.command("purge")
def purge(
    of_key: Annotated[
        str, typer.Option("--of-key", metavar="ID", help="Everything of this key.")
    ] = "",
    user: Annotated[
        str, typer.Option(metavar="ID", help="Everything of this user and the user's keys.")
    ] = "",
    before: Annotated[
        str, typer.Option(metavar="DATE", help="Everything older: 30d for so long ago, or a date.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be deleted.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Delete all that is kept of a key, of a user, or from before a day. Money stays."""
    said = {"key_id": of_key, "user_id": user, "before": before}
    whose = {name: value for name, value in said.items() if value}
    if len(whose) != 1:
        raise Failure("name whose data is to go", fix="--of-key, --user or --before", code=2)
    where = (url, key, data_dir)
    found = told(where, "POST", PATH, {**whose, "dry_run": True})
    if not dry_run:
        if not _is_sure(sum(found["rows"].values()), asks=not yes):
            return
        found = _purged(where, whose, sum(found["rows"].values()))
    if as_json:
        print_json(found)
        return
    _show(found)


def _is_sure(total: int, *, asks: bool) -> bool:
    """Whether so many rows are to go. Raises Failure where nobody is there to be asked."""
    if not (asks and total):
        return True
    question = f"delete {total} rows for good?"
    if not sys.stdin.isatty():
        raise Failure(question, fix="--yes, or --dry-run for a look", code=2)
    return bool(typer.confirm(question, err=True))


def _purged(where: Any, whose: dict[str, str], total: int) -> dict[str, Any]:
    """The answers of all rounds as one."""
    from gatemill.cli.bar import Bar

    rows: dict[str, int] = {}
    with Bar() as bar:
        while True:
            found = told(where, "POST", PATH, whose)
            for table, count in found["rows"].items():
                rows[table] = rows.get(table, 0) + count
            done = sum(rows.values())
            if found["done"]:
                return {**found, "rows": rows}
            bar.show(done, max(total, done), "rows")


def _show(found: dict[str, Any]) -> None:
    rows = [(table, str(count)) for table, count in found["rows"].items()]
    if rows:
        print_table(("TABLE", "ROWS"), rows)
    dry = found["dry_run"]
    note(f"{sum(found['rows'].values())} rows {'would go' if dry else 'are gone'}.")
    for table, count in found["left"].items():
        note(f"{count} {table} have not ended and stay: cancel them, and purge again.")
    if not dry and not found["overwritten"]:
        note(
            "Their bytes may still be in the files of the database: see docs/guides/data-and-retention.md."
        )

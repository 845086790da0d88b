"""`gatemill users`: people or programs that hold keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gatemill.cli.ledger_access import AsJson, Config, DataDir, with_ledger
from gatemill.cli.limit_options import Budgets, Concurrency, Hard, Rpd, Rpm, Said, Tpm
from gatemill.cli.terminal import note, print_json, print_table

if TYPE_CHECKING:
    from gatemill.ledger.ledger import Ledger
    from gatemill.ledger.users import User

_LIST_MAX = 10_000
UserId = Annotated[str, typer.Argument(metavar="ID", help="1 to 63 of a-z, 0-9, '.', '_' and '-'.")]
Name = Annotated[str | None, typer.Option(help="For people.")]
Team = Annotated[str | None, typer.Option(help="Id of their team; '' is none.")]

app = typer.Typer(
    help="Create, list, change and delete users.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("create")
def create(
    user_id: UserId,
    name: Name = None,
    team: Team = None,
    rpm: Rpm = None,
    rpd: Rpd = None,
    tpm: Tpm = None,
    concurrency: Concurrency = None,
    budget: Budgets = None,
    hard: Hard = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Make a user; all their keys share their limits."""
    limits = Said(rpm, rpd, tpm, concurrency, budget, hard).over()

    async def work(ledger: Ledger, now_s: float) -> User:
        return await ledger.people.create_user(user_id, name or user_id, team or "", limits)

    _show(with_ledger(config, data_dir, work, makes=True))


@app.command("ls")
@app.command("list", hidden=True)
def ls(config: Config = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List users."""

    async def work(ledger: Ledger, now_s: float) -> list[User]:
        return await ledger.people.list_users(_LIST_MAX)

    from gatemill.wire import limits

    found = with_ledger(config, data_dir, work)
    if as_json:
        print_json(
            [
                {
                    "id": user.id,
                    "name": user.name,
                    "team": user.team_id,
                    "limits": limits.shown(user.limits),
                }
                for user in found
            ]
        )
        return
    rows = [
        (user.id, user.name, user.team_id or "-", limits.words(user.limits) or "-")
        for user in found
    ]
    print_table(("ID", "NAME", "TEAM", "LIMITS"), rows)


@app.command("set")
def change(
    user_id: UserId,
    name: Name = None,
    team: Team = None,
    rpm: Rpm = None,
    rpd: Rpd = None,
    tpm: Tpm = None,
    concurrency: Concurrency = None,
    budget: Budgets = None,
    hard: Hard = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Change a user; in effect everywhere within a second."""
    said = Said(rpm, rpd, tpm, concurrency, budget, hard)

    async def work(ledger: Ledger, now_s: float) -> User:
        limits = None if said.is_empty else said.over
        return await ledger.people.update_user(user_id, name=name, team_id=team, limits=limits)

    _show(with_ledger(config, data_dir, work))


@app.command("rm")
def remove(user_id: UserId, config: Config = None, data_dir: DataDir = None) -> None:
    """Delete a user who holds no live keys."""

    async def work(ledger: Ledger, now_s: float) -> None:
        await ledger.people.delete_user(user_id)

    with_ledger(config, data_dir, work)
    note(f"The user {user_id} is gone.")


def _show(user: User) -> None:
    from gatemill.wire import limits

    team = f", team {user.team_id}" if user.team_id else ""
    note(f"{user.id} ({user.name}){team}: {limits.words(user.limits) or 'no limits'}.")

"""`gatemill teams`: users and keys with limits in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gatemill.cli import guard_options
from gatemill.cli.guard_options import Guards, own, uses
from gatemill.cli.ledger_access import AsJson, Config, DataDir, with_ledger
from gatemill.cli.limit_options import Budgets, Concurrency, Hard, Rpd, Rpm, Said, Tpm
from gatemill.cli.terminal import note, print_json, print_table

if TYPE_CHECKING:
    from gatemill.ledger.ledger import Ledger
    from gatemill.ledger.teams import Team

_LIST_MAX = 10_000
TeamId = Annotated[str, typer.Argument(metavar="ID", help="1 to 63 of a-z, 0-9, '.', '_' and '-'.")]
Name = Annotated[str | None, typer.Option(help="For people.")]

app = typer.Typer(
    help="Create, list, change and delete teams.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("create")
def create(
    team_id: TeamId,
    name: Name = None,
    rpm: Rpm = None,
    rpd: Rpd = None,
    tpm: Tpm = None,
    concurrency: Concurrency = None,
    budget: Budgets = None,
    hard: Hard = None,
    guard: Guards = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Make a team; its users and keys share its limits."""
    limits = Said(rpm, rpd, tpm, concurrency, budget, hard).over()
    guards = own(guard, config)

    async def work(ledger: Ledger, now_s: float) -> Team:
        return await ledger.people.create_team(team_id, name or team_id, limits, guards=guards)

    _show(with_ledger(config, data_dir, work, makes=True))


@app.command("ls")
@app.command("list", hidden=True)
def ls(config: Config = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List teams."""

    async def work(ledger: Ledger, now_s: float) -> list[Team]:
        return await ledger.people.list_teams(_LIST_MAX)

    from gatemill.wire import guard_uses, limits

    found = with_ledger(config, data_dir, work)
    if as_json:
        print_json(
            [
                {
                    "id": team.id,
                    "name": team.name,
                    "limits": limits.shown(team.limits),
                    "guards": guard_uses.shown(team.guards),
                }
                for team in found
            ]
        )
        return
    rows = [
        (
            team.id,
            team.name,
            limits.words(team.limits) or "-",
            guard_uses.words(team.guards) or "-",
        )
        for team in found
    ]
    print_table(("ID", "NAME", "LIMITS", "GUARDS"), rows)


@app.command("set")
def change(
    team_id: TeamId,
    name: Name = None,
    rpm: Rpm = None,
    rpd: Rpd = None,
    tpm: Tpm = None,
    concurrency: Concurrency = None,
    budget: Budgets = None,
    hard: Hard = None,
    guard: Guards = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Change a team; in effect everywhere within a second."""
    said = Said(rpm, rpd, tpm, concurrency, budget, hard)
    guards = uses(guard, config)

    async def work(ledger: Ledger, now_s: float) -> Team:
        limits = None if said.is_empty else said.over
        return await ledger.people.update_team(team_id, name=name, limits=limits, guards=guards)

    _show(with_ledger(config, data_dir, work))


@app.command("rm")
def remove(team_id: TeamId, config: Config = None, data_dir: DataDir = None) -> None:
    """Delete a team that nobody belongs to."""

    async def work(ledger: Ledger, now_s: float) -> None:
        await ledger.people.delete_team(team_id)

    with_ledger(config, data_dir, work)
    note(f"The team {team_id} is gone.")


def _show(team: Team) -> None:
    from gatemill.wire import limits

    note(
        f"{team.id} ({team.name}): {limits.words(team.limits) or 'no limits'}{guard_options.said(team.guards)}."
    )

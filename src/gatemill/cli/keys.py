"""`gatemill keys`: callers' keys. Rule: a secret goes to standard output once, notes go beside it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatemill.cli import guard_options
from gatemill.cli.failure import Failure
from gatemill.cli.guard_options import Guards, own, uses
from gatemill.cli.ledger_access import AsJson, Config, DataDir, with_ledger
from gatemill.cli.limit_options import Budgets, Concurrency, Hard, Rpd, Rpm, Said, Tpm
from gatemill.cli.terminal import note, print_json, print_table, print_text
from gatemill.core.scopes import DEFAULT

if TYPE_CHECKING:
    from gatemill.core.call import Key
    from gatemill.ledger.keys import ListedKey, NewKey
    from gatemill.ledger.ledger import Ledger

_LIST_MAX = 10_000
_DURATION = re.compile(r"(\d+)\s*([smhdw])")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}

app = typer.Typer(
    help="Create, list, change, rotate and revoke keys.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


KeyId = Annotated[str, typer.Argument(metavar="ID", help="Id from `gatemill keys ls`.")]
Team = Annotated[str | None, typer.Option(help="Team whose limits it shares; '' is its user's.")]
User = Annotated[str | None, typer.Option(help="User whose it is; '' is nobody.")]


@app.command("create")
def create(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="What the key is for; shown in lists and reports.")
    ],
    models: Annotated[
        str, typer.Option(help="Model names or patterns the key may use, with commas between.")
    ] = "*",
    admin: Annotated[bool, typer.Option("--admin", help="May use the admin API.")] = False,
    scopes: Annotated[
        str | None,
        typer.Option(help="What it may do, with commas between: inference, usage, admin:read, ..."),
    ] = None,
    expires: Annotated[str | None, typer.Option(help="Lifetime, such as 12h or 30d.")] = None,
    team: Team = None,
    user: User = None,
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
    """Make a key. Its secret is printed once and stored nowhere."""
    lifetime_s = None if expires is None else _duration_s(expires, "--expires")
    limits = Said(rpm, rpd, tpm, concurrency, budget, hard).over()
    guards = own(guard, config)

    async def work(ledger: Ledger, now_s: float) -> NewKey:
        return await ledger.create_key(
            name,
            _names(models),
            admin=admin,
            expires_s=None if lifetime_s is None else now_s + lifetime_s,
            user_id=user or "",
            team_id=team or "",
            limits=limits,
            scopes=DEFAULT if scopes is None else _names(scopes),
            guards=guards,
        )

    _show_new(with_ledger(config, data_dir, work, makes=True))


@app.command("ls")
@app.command("list", hidden=True)
def ls(config: Config = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List keys of every state, newest first."""

    async def work(ledger: Ledger, now_s: float) -> tuple[list[ListedKey], float]:
        return await ledger.list_keys(_LIST_MAX), now_s

    from gatemill.wire import guard_uses, limits

    found, now_s = with_ledger(config, data_dir, work)
    if as_json:
        print_json([_as_json(one.key, now_s, last_used=one.last_used_s) for one in found])
        return
    print_table(
        ("ID", "NAME", "STATE", "OWNER", "SCOPES", "MODELS", "LIMITS", "GUARDS", "LAST USED"),
        [
            (
                one.key.id,
                one.key.name,
                _state(one.key, now_s),
                one.key.user_id or one.key.team_id or "-",
                _scopes(one.key),
                ",".join(one.key.models),
                limits.words(one.key.limits) or "-",
                guard_uses.words(one.key.guards) or "-",
                _when(one.last_used_s),
            )
            for one in found
        ],
    )


@app.command("set")
def change(
    key_id: KeyId,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    models: Annotated[str | None, typer.Option(help="Other models, with commas between.")] = None,
    scopes: Annotated[
        str | None, typer.Option(help="The scopes that it keeps, with commas between.")
    ] = None,
    team: Team = None,
    user: User = None,
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
    """Change a key; in effect everywhere within a second. What is not named stays."""
    from gatemill.wire import limits

    guards = uses(guard, config)
    said = Said(rpm, rpd, tpm, concurrency, budget, hard)

    async def work(ledger: Ledger, now_s: float) -> Key:
        return await ledger.update_key(
            _id(key_id),
            name=name,
            models=None if models is None else _names(models),
            limits=None if said.is_empty else said.over,
            scopes=None if scopes is None else _names(scopes),
            guards=guards,
            user_id=user,
            team_id=team,
        )

    key = with_ledger(config, data_dir, work)
    told = f"{limits.words(key.limits) or 'no limits'}{guard_options.said(key.guards)}"
    note(f"{key.id} ({key.name}): {told}.")


@app.command("rotate")
def rotate(
    key_id: KeyId,
    grace: Annotated[str, typer.Option(help="Time for which the old key still works.")] = "1h",
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Replace a key. The new one has the same rights; the old one ends after the grace."""
    grace_s = _duration_s(grace, "--grace")

    async def work(ledger: Ledger, now_s: float) -> NewKey:
        return await ledger.rotate_key(_id(key_id), grace_s)

    new = with_ledger(config, data_dir, work)
    _show_new(new)
    note(f"{_id(key_id)} works for {grace} more.")


@app.command("revoke")
def revoke(
    key_id: KeyId,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """End a key, everywhere within a second."""

    async def work(ledger: Ledger, now_s: float) -> Key:
        return await ledger.revoke_key(_id(key_id))

    key = with_ledger(config, data_dir, work)
    note(f"{key.id} ({key.name}) works no longer.")


def _show_new(new: NewKey) -> None:
    key = new.key
    rights = f"models {','.join(key.models)}, scopes {_scopes(key)}"
    until = f", until {_when(key.expires_s)}" if key.expires_s else ""
    note(f"{key.name}: id {key.id}, {rights}{until}. The secret is shown this once:")
    print_text(new.secret)


def _as_json(key: Key, now_s: float, *, last_used: float | None) -> dict[str, Any]:
    from gatemill.wire import guard_uses, limits

    return {
        "id": key.id,
        "name": key.name,
        "state": _state(key, now_s),
        "models": list(key.models),
        "scopes": list(key.scopes),
        "admin": key.admin,
        "user": key.user_id,
        "team": key.team_id,
        "limits": limits.shown(key.limits),
        "guards": guard_uses.shown(key.guards),
        "created": _iso(key.created_s),
        "expires": _iso(key.expires_s),
        "revoked": _iso(key.revoked_s),
        "last_used": _iso(last_used),
    }


def _scopes(key: Key) -> str:
    """What it may do, in the least words."""
    if key.admin:
        return "admin"
    return "default" if key.scopes == DEFAULT else ",".join(key.scopes) or "none"


def _state(key: Key, now_s: float) -> str:
    if key.revoked_s is not None:
        return "revoked" if key.revoked_s <= now_s else f"replaced, until {_when(key.revoked_s)}"
    if key.expires_s is None:
        return "live"
    return "expired" if key.expires_s <= now_s else f"live, until {_when(key.expires_s)}"


def _iso(at_s: float | None) -> str | None:
    return None if at_s is None else datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds")


def _when(at_s: float | None) -> str:
    return "-" if at_s is None else f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d %H:%M}Z"


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _id(text: str) -> str:
    """The id, also from a whole secret: people paste what they have."""
    parts = text.split("-")
    return parts[1] if len(parts) == 3 and parts[0] == "gm" else text


def _duration_s(text: str, option: str) -> float:
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None:
        raise Failure(
            f"{option} {text}: not a duration", fix=f"{option} 30d, 12h, 90m or 45s", code=2
        )
    return float(match[1]) * _UNIT_S[match[2]]

"""`gatemill prompts`: templates with versions and aliases. Rule: asks a running gateway, as any program can."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from gatemill.cli import registry
from gatemill.cli.asking import asked, pages, told
from gatemill.cli.failure import Failure
from gatemill.cli.gateway_options import DATA, Data, Key, Limit, Url
from gatemill.cli.ledger_access import AsJson
from gatemill.cli.registry import MODELS, Name, path, text_of
from gatemill.cli.terminal import note, print_json, print_table, print_text

Version = Annotated[int, typer.Argument(metavar="VERSION", help="Its number.")]
_TEAM = "Id of the team whose keys may use it; '' is everybody."

app = typer.Typer(
    help="Prompts: templates with variables, versions and aliases.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
for _name, _command in (
    ("versions", registry.versions),
    ("archive", registry.archive),
    ("alias", registry.alias),
    ("rollback", registry.rollback),
    ("events", registry.events),
    ("rm", registry.delete),
):
    app.command(_name)(_command)
app.command("delete", hidden=True)(registry.delete)


@app.command("ls")
@app.command("list", hidden=True)
def ls(
    limit: Limit = 100,
    team: Annotated[str, typer.Option(help="Only those of this team.")] = "",
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """List prompts."""
    sieve = {"kind": "prompt"} | ({"team": team} if team else {})
    found = pages((url, key, data_dir), "/v1/registry", sieve, limit)
    if as_json:
        print_json(found)
        return
    print_table(
        ("NAME", "MEANS", "ALIASES", "TEAM", "ABOUT"),
        [
            (
                each["id"],
                each["version"] or "-",
                ", ".join(f"{alias}={number}" for alias, number in each["aliases"].items()) or "-",
                each["team_id"] or "-",
                each["description"],
            )
            for each in found
        ],
    )


@app.command("create")
def create(
    name: Name,
    description: Annotated[str, typer.Option(help="For people.")] = "",
    team: Annotated[str, typer.Option(help=_TEAM)] = "",
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Make a name for a prompt."""
    asks = {"name": name, "kind": "prompt", "description": description, "team_id": team or None}
    said = told((url, key, data_dir), "POST", MODELS, asks)
    if as_json:
        print_json(said)
    else:
        note(f"{name} is there. Next: gatemill prompts add-version {name} FILE")


@app.command("set")
def change(
    name: Name,
    team: Annotated[str, typer.Option(help=_TEAM)],
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Say whose a prompt is; keys of other teams are told that there is none."""
    said = told((url, key, data_dir), "PATCH", path(name), {"team_id": team or None})
    if as_json:
        print_json(said)
    else:
        note(f"{name} is for {f'the team {team}' if team else 'everybody'}.")


@app.command("add-version")
def add_version(
    name: Name,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="JSON with template, variables and params; or any other text, which is one message.",
        ),
    ],
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Add a version of a prompt; print its name."""
    said = told((url, key, data_dir), "POST", path(name, "versions"), _said(file))
    if as_json:
        print_json(said)
    else:
        print_text(said["id"])


@app.command("render")
def render(
    name: Name,
    version: Version,
    variable: Annotated[
        list[str] | None, typer.Option("--var", help="NAME=TEXT or NAME:=JSON; repeatable.")
    ] = None,
    feature: Annotated[
        list[str] | None, typer.Option(help="A feature: user.tier=gold; repeatable.")
    ] = None,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Show what a version says with these values; no model is asked."""
    asks = {
        "prompt_variables": _values("--var", variable),
        "features": _values("--feature", feature),
    }
    where = (url, key, data_dir)
    said = told(where, "POST", path(name, "versions", str(version), "render"), asks)
    if as_json:
        print_json(said)
        return
    for message in said["messages"]:
        print_text(f"{message['role']}: {message['content']}")


@app.command("compare")
def compare(
    name: Name,
    old: Annotated[int, typer.Argument(metavar="FROM", help="A version.")],
    new: Annotated[int, typer.Argument(metavar="TO", help="Another.")],
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Show how two versions differ."""
    query = urlencode({"from": old, "to": new})
    said = asked((url, key, data_dir), "GET", f"{path(name, 'compare')}?{query}")
    if as_json:
        print_json(said)
        return
    for line in said["template"]:
        print_text(line)
    for field, values in said["fields"].items():
        print_text(f"{field}: {values[0]} -> {values[1]}")


def _values(option: str, said: list[str] | None) -> dict[str, Any]:
    """Values by name: text after =, JSON after :=. Raises Failure."""
    import msgspec

    found: dict[str, Any] = {}
    for each in said or ():
        name, mark, value = each.partition("=")
        try:
            is_json = name.endswith(":")
            found[name.removesuffix(":")] = msgspec.json.decode(value) if is_json else value
        except msgspec.DecodeError:
            mark = ""
        if not name or not mark:
            raise Failure(f"{option} {each}: no value", fix=f"{option} name=text", code=2)
    return found


def _said(file: Path) -> dict[str, Any]:
    import msgspec

    text = text_of(file)
    if file.suffix != ".json":
        return {"template": text}
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise Failure(
            f"{file}: {error}", fix='write {"template": [...], "variables": {...}}', code=2
        ) from error

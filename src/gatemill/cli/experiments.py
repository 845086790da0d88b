"""`gatemill experiments`: two models, one question. Rule: asks a running gateway, as any program can."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from gatemill.cli.asking import Where, asked, pages, told
from gatemill.cli.failure import Failure
from gatemill.cli.gateway_options import DATA, Data, Key, Limit, Url
from gatemill.cli.ledger_access import AsJson
from gatemill.cli.terminal import note, print_json, print_text

PATH = "/v1/experiments"
Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name or id.")]
Reason = Annotated[str, typer.Option("--why", help="Stands in the events.")]
Pairs = list[str] | None

app = typer.Typer(
    help="Experiments: who gets which model, and which is better.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("ls")
@app.command("list", hidden=True)
def ls(
    state: Annotated[str, typer.Option(help="Only those in this state, such as running.")] = "",
    limit: Limit = 100,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """List experiments."""
    from gatemill.cli import experiments_shown, jobs_shown

    found = pages((url, key, data_dir), PATH, {"state": state}, limit)
    jobs_shown.print_list(found, experiments_shown.table, as_json=as_json)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A name, or a file of JSON.")],
    arm: Annotated[
        Pairs, typer.Option(metavar="NAME=MODEL", help="An arm; the first is the control.")
    ] = None,
    shadow: Annotated[
        Pairs, typer.Option(metavar="NAME=MODEL", help="An arm whose answers nobody sees.")
    ] = None,
    weight: Annotated[
        Pairs, typer.Option(metavar="NAME=NUMBER", help="Weight of an arm; 1 by default.")
    ] = None,
    model: Annotated[str, typer.Option(help="The model whose calls are split.")] = "",
    metric: Annotated[str, typer.Option(help="What is compared, such as latency_ms.")] = "",
    binary: Annotated[bool, typer.Option("--binary", help="Its values are 0 or 1.")] = False,
    lower: Annotated[bool, typer.Option("--lower", help="Less of it is better.")] = False,
    margin: Annotated[float, typer.Option(min=0, help="A smaller difference is none.")] = 0.0,
    unit: Annotated[str, typer.Option(help="Stays with its arm: key, user, conversation.")] = "",
    why: Reason = "",
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Make a draft. From options, or from a file with the body of POST /v1/experiments."""
    where = (url, key, data_dir)
    if name.endswith(".json"):
        asks = _file(Path(name))
    else:
        said: dict[str, Any] = {"name": metric}
        said |= {"kind": "binary"} if binary else {}
        said |= {"direction": "lower"} if lower else {}
        said |= {"margin": margin} if margin else {}
        asks = {"name": name, "arms": _arms(arm, shadow, weight), "metric": said, "reason": why}
        asks |= {"model": model} if model else {}
        asks |= {"unit": unit} if unit else {}
    made = told(where, "POST", PATH, asks)
    if as_json:
        print_json(made)
    note(f"{made['name']} is a draft: gatemill experiments start {made['name']}")


@app.command("start")
def start(
    name: Name, why: Reason = "", url: Url = None, key: Key = None, data_dir: Data = DATA
) -> None:
    """Split callers from now on, or again."""
    made = _act((url, key, data_dir), name, "start", {"reason": why})
    note(f"{made['name']} runs: callers of {made['model']} get {_names(made)}.")


@app.command("pause")
def pause(
    name: Name, why: Reason = "", url: Url = None, key: Key = None, data_dir: Data = DATA
) -> None:
    """Let the first arm answer everybody for a while."""
    made = _act((url, key, data_dir), name, "pause", {"reason": why})
    note(f"{made['name']} is paused: {made['arms'][0]['name']} answers everybody.")


@app.command("weights")
def weights(
    name: Name,
    changes: Annotated[list[str], typer.Argument(metavar="ARM=NUMBER")],
    why: Reason = "",
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
) -> None:
    """Change the weights of arms. Only the callers whose share moves get another one."""
    asks = {"weights": _weights(changes), "reason": why}
    made = told((url, key, data_dir), "PATCH", _path(name), asks)
    note(f"Callers of {made['model']} get {_names(made)}.")


@app.command("conclude")
def conclude(
    name: Name,
    winner: Annotated[str, typer.Option(help="The arm that answers from now on.")] = "",
    why: Reason = "",
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
) -> None:
    """End it. The winner answers everybody, the first arm where none is named."""
    asks = {"winner": winner or None, "reason": why}
    made = _act((url, key, data_dir), name, "conclude", asks)
    stays = made["winner"] or made["arms"][0]["name"]
    note(f"{made['name']} is concluded: {stays} answers everybody.")


@app.command("results")
def results(
    name: Name,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Show what is known of each arm. Says whether they differ; look as often as you like."""
    from gatemill.cli import experiments_shown

    found = asked((url, key, data_dir), "GET", _path(name, "/results"))
    if as_json:
        print_json(found)
    else:
        experiments_shown.results(found)


@app.command("events")
def events(
    name: Name,
    limit: Limit = 100,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Show who changed what, and why."""
    from gatemill.cli import experiments_shown, jobs_shown

    path = _path(name, f"/events?limit={min(limit, 500)}")
    found = asked((url, key, data_dir), "GET", path)["data"]
    jobs_shown.print_list(found, experiments_shown.events, as_json=as_json)


@app.command("arm")
def arm_of(
    name: Name,
    unit: Annotated[
        str, typer.Argument(metavar="CALLER", help="Id of the key, the user or the conversation.")
    ],
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
) -> None:
    """Print the arm that somebody gets."""
    path = _path(name, f"/assignment?unit={quote(unit, safe='')}")
    print_text(asked((url, key, data_dir), "GET", path)["arm"])


@app.command("rm")
def remove(name: Name, url: Url = None, key: Key = None, data_dir: Data = DATA) -> None:
    """Delete one that is not running, with its outcomes."""
    asked((url, key, data_dir), "DELETE", _path(name))
    note(f"{name} is gone.")


def _act(where: Where, name: str, act: str, asks: dict[str, Any]) -> dict[str, Any]:
    return told(where, "POST", _path(name, f"/{act}"), asks)


def _path(name: str, rest: str = "") -> str:
    return f"{PATH}/{quote(name, safe='')}{rest}"


def _file(path: Path) -> dict[str, Any]:
    import msgspec

    try:
        found = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}", code=2) from error
    except msgspec.MsgspecError as error:
        raise Failure(f"{path} is no JSON object: {error}", code=2) from error
    return found


def _arms(arms: Pairs, shadows: Pairs, weight: Pairs) -> list[dict[str, Any]]:
    known = _weights(weight or [])
    found: list[dict[str, Any]] = []
    for name, model in (_pair(each, "--arm") for each in arms or []):
        said = {"weight": known.pop(name)} if name in known else {}
        found.append({"name": name, "model": model, **said})
    for name in known:
        raise Failure(f"--weight: there is no arm {name}", code=2)
    for name, model in (_pair(each, "--shadow") for each in shadows or []):
        found.append({"name": name, "model": model, "shadow": True})
    return found


def _weights(changes: list[str]) -> dict[str, float]:
    found = {}
    for name, number in (_pair(each, "weight") for each in changes):
        try:
            found[name] = float(number)
        except ValueError as error:
            raise Failure(f"{name}={number}: the weight is no number", code=2) from error
    return found


def _pair(text: str, option: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (name and sign):
        raise Failure(f"{option} {text}: write NAME=VALUE", code=2)
    return name, value


def _names(made: dict[str, Any]) -> str:
    shares = [arm for arm in made["arms"] if not arm["shadow"]]
    total = sum(arm["weight"] for arm in shares)
    return ", ".join(f"{arm['name']} ({arm['weight'] / total:.0%})" for arm in shares)

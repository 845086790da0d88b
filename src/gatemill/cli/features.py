"""`gatemill features`: what is known of users. Rule: asks a running gateway, as any program can."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from gatemill.cli import options
from gatemill.cli.asking import asked, pages, told
from gatemill.cli.failure import Failure
from gatemill.cli.gateway_options import DATA, Data, Key, Limit, Url
from gatemill.cli.ledger_access import AsJson
from gatemill.cli.terminal import note, print_json, print_table, print_text

SETS = "/v1/feature_sets"
WRITE_ROWS = 1_000  # in one request
Name = Annotated[str, typer.Argument(metavar="SET", help="Name of the feature set.")]
Entity = Annotated[str, typer.Argument(metavar="ENTITY", help="Kind of entity, such as user.")]

app = typer.Typer(
    help="Feature sets: what is known of users and other entities.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("put")
def put(
    name: Name,
    entity: Annotated[str, typer.Option(help="What it is known of, such as user.")],
    feature: Annotated[
        list[str],
        typer.Option(
            metavar="NAME:TYPE[=DEFAULT]", help="A feature; repeatable: tier:string=free."
        ),
    ],
    ttl: Annotated[
        str, typer.Option(help="Values are too old this long after their event: 90m, 30d.")
    ] = "",
    trusted: Annotated[
        bool, typer.Option("--trusted", help="Callers may not say other values.")
    ] = False,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Declare a feature set, or replace it."""
    ttl_s = options.seconds(ttl, "--ttl ") if ttl else None
    features = [{**_feature(each), "ttl_s": ttl_s} for each in feature]
    asks = {"entity": entity, "features": features, "trusted": trusted}
    made = told((url, key, data_dir), "PUT", _path(name), asks)
    if as_json:
        print_json(made)
    else:
        names = ", ".join(f"{entity}.{one['name']}" for one in made["features"])
        note(f"{name} has {names}.")


@app.command("ls")
def ls(url: Url = None, key: Key = None, data_dir: Data = DATA, as_json: AsJson = False) -> None:
    """List feature sets."""
    found = asked((url, key, data_dir), "GET", SETS)["data"]
    if as_json:
        print_json(found)
        return
    rows = [
        (
            one["name"],
            ", ".join(f"{one['entity']}.{each['name']}" for each in one["features"]),
            one["source"],
            "yes" if one["trusted"] else "no",
        )
        for one in found
    ]
    print_table(("SET", "FEATURES", "SOURCE", "TRUSTED"), rows)


@app.command("rm")
def remove(name: Name, url: Url = None, key: Key = None, data_dir: Data = DATA) -> None:
    """Delete a feature set and its values."""
    asked((url, key, data_dir), "DELETE", _path(name))
    note(f"{name} is gone.")


@app.command("write")
def write(
    entity: Entity,
    entity_key: Annotated[str, typer.Argument(metavar="KEY", help="Which one.")] = "",
    values: Annotated[
        list[str] | None, typer.Argument(metavar="NAME=VALUE", help="What is known of it.")
    ] = None,
    at: Annotated[str, typer.Option(help="Since when: 2026-11-01T12:00:00Z, or 2d ago.")] = "",
    file: Annotated[
        Path | None,
        typer.Option(help='Lines of JSON instead: {"key": ..., "values": {...}, "event_ts": ...}.'),
    ] = None,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
) -> None:
    """Write values of one entity, or of many from a file."""
    if file is not None:
        rows = _lines(file)
    else:
        if not values:
            raise Failure("no values are named", fix="KEY NAME=VALUE, or --file LINES", code=2)
        row: dict[str, Any] = {"key": entity_key, "values": dict(map(_value, values or []))}
        rows = [{**row, "event_ts": at} if at else row]
    written = 0
    for first in range(0, len(rows), WRITE_ROWS):
        asks = {"entity": entity, "rows": rows[first : first + WRITE_ROWS]}
        written += told((url, key, data_dir), "POST", "/v1/features/write", asks)["written"]
    note(f"{written} {'value' if written == 1 else 'values'} written")


@app.command("read")
def read(
    entity: Entity,
    keys: Annotated[list[str], typer.Argument(metavar="KEY", help="Which ones.")],
    as_of: Annotated[str, typer.Option(help="At that moment instead of now: 7d, a date.")] = "",
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Read what is known, now or at a moment."""
    asks: dict[str, Any] = {"entities": {entity: keys}}
    if as_of:
        asks["as_of"] = as_of
    rows = told((url, key, data_dir), "POST", "/v1/features/read", asks)["rows"]
    if as_json:
        print_json(rows)
        return
    table = [
        (row["key"], name, _shown(value), row["statuses"][name])
        for row in rows
        for name, value in row["values"].items()
    ]
    print_table(("KEY", "FEATURE", "VALUE", "STATUS"), table)


@app.command("log")
def log(
    set_: Annotated[str, typer.Option("--set", help="Only features of this set.")] = "",
    as_of: Annotated[str, typer.Option(help="Nothing after that moment.")] = "",
    limit: Limit = 20,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """List what requests were given, the newest first."""
    asks = {"set": set_, "as_of": as_of}
    found = pages((url, key, data_dir), "/v1/features/log", asks, limit, "request_id")
    if as_json:
        print_json(found)
        return
    for one in found:
        given = " ".join(f"{name}={_shown(value)}" for name, value in one["values"].items())
        print_text(f"{one['request_id']}  {one['model']}  {given}")


def _feature(said: str) -> dict[str, Any]:
    name, colon, rest = said.partition(":")
    type_, mark, default = rest.partition("=")
    if not (name and colon and type_):
        raise Failure(f"--feature {said}: no type", fix="--feature tier:string=free", code=2)
    if not mark:
        return {"name": name, "type": type_}
    value = default if type_ == "string" else _value(f"x={default}")[1]
    return {"name": name, "type": type_, "default": value}


def _value(said: str) -> tuple[str, Any]:
    """The name and the value in `tier=gold`, `age=3`, `known=true`."""
    import msgspec

    name, mark, text = said.partition("=")
    if not (name and mark):
        raise Failure(f"{said}: not a pair", fix="tier=gold", code=2)
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        value = text
    return name, value if isinstance(value, (str, int, float, bool)) or value is None else text


def _lines(file: Path) -> list[Any]:
    import msgspec

    try:
        return msgspec.json.Decoder().decode_lines(file.read_bytes())
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise Failure(
            f"cannot read {file}: {reason}", fix="name a file of JSON lines", code=2
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Failure(f"{file}: {error}", fix="one JSON object in each line", code=2) from error


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _path(name: str) -> str:
    return f"{SETS}/{quote(name, safe='')}"

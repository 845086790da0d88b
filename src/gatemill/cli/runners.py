"""`gatemill models load|unload|list --local`: models that run in a gateway. Rule: asks it, as any program can."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from gatemill.cli.asking import Where, asked
from gatemill.cli.gateway_options import DATA, Data, Key, Url
from gatemill.cli.ledger_access import AsJson
from gatemill.cli.terminal import note, print_json, print_table, print_text

if TYPE_CHECKING:
    from gatemill.core.ports import Json

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of [local], or of a version of the registry.")
]
_MIB = 1_048_576


def load(
    name: Name, url: Url = None, key: Key = None, data_dir: Data = DATA, as_json: AsJson = False
) -> None:
    """Load a model in a running gateway, and try it."""
    _told(asked((url, key, data_dir), "POST", f"/v1/models/{quote(name)}/load"), as_json=as_json)


def unload(
    name: Name, url: Url = None, key: Key = None, data_dir: Data = DATA, as_json: AsJson = False
) -> None:
    """Give a model's memory back once its requests are over."""
    _told(asked((url, key, data_dir), "POST", f"/v1/models/{quote(name)}/unload"), as_json=as_json)


def show(where: Where, *, as_json: bool) -> None:
    """How the models of a running gateway stand."""
    found = asked(where, "GET", "/v1/runners")["data"]
    if as_json:
        print_json(found)
        return
    print_table(
        ("MODEL", "TASK", "ENGINE", "STATE", "MIB", "IN FLIGHT", "WAITING", "PID"),
        [_row(one) for one in found],
    )
    for one in found:
        if one["error"]:
            note(f"{one['model']}: {one['error']}")


def _row(one: Json) -> tuple[str, ...]:
    shown: tuple[Any, ...] = (
        one["model"],
        one["task"],
        one["engine"],
        one["state"],
        round(one["memory_bytes"] / _MIB),
        one["in_flight"],
        one["waiting"],
        one["pid"] or "-",
    )
    return tuple(str(cell) for cell in shown)


def _told(one: Json, *, as_json: bool) -> None:
    if as_json:
        print_json(one)
    else:
        print_text(f"{one['model']} {one['state']} {one['memory_bytes'] / _MIB:.0f} MiB")

"""`gatemill reload`: a running gateway loads its configuration again.

Rule: the gateway reads its own file with its own environment; this only asks, and shows the answer.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gatemill.cli.asking import Where, answered, refused
from gatemill.cli.failure import Invalid
from gatemill.cli.gateway_options import DATA, Data, Key, Url
from gatemill.cli.ledger_access import AsJson
from gatemill.cli.terminal import print_json, print_text


def reload(
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would change.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Load the configuration of a running gateway again."""
    said = asked((url, key, data_dir), dry_run=dry_run)
    if as_json:
        print_json(said)
    else:
        show(said)


def asked(where: Where, *, dry_run: bool) -> dict[str, Any]:
    """What the gateway says to a reload. Raises Invalid with its errors, or Failure."""
    path = "/api/v1/config/reload" + ("?dry_run" if dry_run else "")
    status, said = answered(where, "POST", path, b"")
    if status == 200 and "outcome" in said:
        return said
    _, *mistakes = str(said.get("detail", "")).splitlines() or [""]
    if mistakes:
        raise _refused(mistakes)
    raise refused(status, said)


def show(said: dict[str, Any]) -> None:
    """The answer to a reload, for people."""
    for line in said["changes"]:
        print_text(line)
    if said["needs_restart"]:
        print_text("Not applied, because it takes a restart:")
        for line in said["needs_restart"]:
            print_text(f"  {line}")
    processes = "" if said["workers"] == 1 else f", {said['workers']} processes"
    count = len(said["changes"])
    changes = "nothing changes" if not count else f"{count} change{'' if count == 1 else 's'}"
    state = "would be reloaded" if said["dry_run"] else "in effect"
    print_text(f"{changes}, version {said['version']} {state}{processes}")


def _refused(mistakes: list[str]) -> Invalid:
    invalid = Invalid(mistakes)
    invalid.message += "; the old one stays in effect"
    invalid.code = 1
    return invalid

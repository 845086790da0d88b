"""`gatemill check`: is the configuration good, and do the providers answer?

Rule: exit code 0 all is well or only warnings, 1 a provider does not work, 2 the file is wrong.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gatemill.cli.failure import Invalid
from gatemill.cli.findings_shown import as_objects, failed, show
from gatemill.cli.ledger_access import AsJson
from gatemill.cli.terminal import print_json, settings


def check(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", help="Configuration file; by default the one that serve takes."
        ),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Also ask every provider for its models.")
    ] = False,
    spend: Annotated[
        bool,
        typer.Option(
            "--spend", help="Also ask each target of [models] for one token. Costs money."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check the configuration without starting."""
    try:
        loaded = settings(file, ask_servers=live)
    except Invalid as invalid:
        if not as_json:
            raise
        print_json({"ok": False, "errors": invalid.lines, "findings": []})
        raise typer.Exit(2) from None
    from gatemill.cli.live import probe_all
    from gatemill.settings.findings import keys, summary

    found = [summary(loaded), *keys(loaded), *(probe_all(loaded) if live else ())]
    if spend:
        from gatemill.cli.spending import ask_all

        found += ask_all(loaded, file)
    if as_json:
        print_json({"ok": not failed(found), "errors": [], "findings": as_objects(found)})
    else:
        show(found)
    raise typer.Exit(1 if failed(found) else 0)

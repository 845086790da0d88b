"""`gatemill doctor`: what is wrong on this machine, and what repairs it.

Rule: it changes nothing. Exit code 0 all is well or only warnings, 1 something does not work, 2 the file is wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gatemill.cli.failure import Invalid
from gatemill.cli.findings_shown import as_objects, failed, show
from gatemill.cli.ledger_access import AsJson, ServerConfig, ServerData
from gatemill.cli.terminal import print_json, settings

if TYPE_CHECKING:
    from gatemill.core.finding import Finding


def doctor(
    config: ServerConfig = None,
    data_dir: ServerData = None,
    live: Annotated[
        bool, typer.Option("--live", help="Also ask every provider for its models.")
    ] = False,
    source: Annotated[
        str,
        typer.Option(
            "--from",
            envvar="GATEMILL_CONSUME_FROM",
            help="Also look at the broker that consume reads from: amqp://… or kafka://…",
        ),
    ] = "",
    target: Annotated[
        str,
        typer.Option(
            "--to", envvar="GATEMILL_CONSUME_TO", help="And at the one that it writes to."
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Say what is wrong on this machine, and the remedy."""
    import asyncio

    from gatemill.cli.live import probe_all
    from gatemill.core.clock import SystemClock
    from gatemill.house.doctor import examined

    try:
        loaded = settings(config, {"server.data_dir": data_dir}, ask_servers=live)
    except Invalid as invalid:
        if as_json:
            print_json({"ok": False, "findings": as_objects(_mistakes(invalid))})
        else:
            show(_mistakes(invalid))
        raise typer.Exit(2) from None
    streams = {option: url for option, url in (("--from", source), ("--to", target)) if url}
    found = asyncio.run(examined(loaded, SystemClock(), serves=False, streams=streams))
    found += probe_all(loaded) if live else ()
    if as_json:
        print_json({"ok": not failed(found), "findings": as_objects(found)})
    else:
        show(found)
    raise typer.Exit(1 if failed(found) else 0)


def _mistakes(invalid: Invalid) -> list[Finding]:
    from gatemill.core.finding import FAILURE, Finding

    return [Finding(FAILURE, "config", line, invalid.fix) for line in invalid.lines]

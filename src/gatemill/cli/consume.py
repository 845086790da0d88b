"""`gatemill consume`: the arguments. Rule: what happens then is in consuming.py."""

from __future__ import annotations

from typing import Annotated

import typer

from gatemill.cli.ledger_access import ServerConfig, ServerData


def consume(
    source: Annotated[
        str,
        typer.Option(
            "--from",
            envvar="GATEMILL_CONSUME_FROM",
            help="Where requests come from: amqp://host/queue or kafka://host/topic.",
        ),
    ],
    target: Annotated[
        str,
        typer.Option("--to", envvar="GATEMILL_CONSUME_TO", help="Where answers go, written alike."),
    ],
    key: Annotated[str, typer.Option(help="Id of the key on whose account the requests run.")],
    name: Annotated[
        str,
        typer.Option(help="Processes with the same name share the messages, and the answers."),
    ] = "default",
    priority: Annotated[str, typer.Option(help="high, default or low.")] = "default",
    slots: Annotated[int, typer.Option(min=1, help="Most requests at once.")] = 100,
    config: ServerConfig = None,
    data_dir: ServerData = None,
) -> None:
    """Answer requests from one queue or topic into another."""
    from gatemill.cli import consuming
    from gatemill.core.job import PRIORITIES

    if priority not in PRIORITIES:
        raise typer.BadParameter(f"use {', '.join(PRIORITIES)}", param_hint="--priority")
    wanted = consuming.Wanted(
        source, target, key, name, PRIORITIES.index(priority), slots, config, data_dir
    )
    raise typer.Exit(consuming.run(wanted))

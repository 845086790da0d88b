"""`gatemill worker`: the arguments. Rule: what happens then is in working.py."""

from __future__ import annotations

from typing import Annotated

import typer

from gatemill.cli.ledger_access import ServerConfig, ServerData


def worker(
    queues: Annotated[
        str | None,
        typer.Option(
            help="Priorities (high, default, low) and queues to take jobs of, with commas between;"
            " by default all."
        ),
    ] = None,
    slots: Annotated[int | None, typer.Option(min=1, help="Most jobs at once.")] = None,
    quarantine: Annotated[
        bool, typer.Option("--quarantine", hidden=True, help="Run jobs whose workers died.")
    ] = False,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65_535, help="Port on 127.0.0.1 that answers /metrics; 0 takes any."
        ),
    ] = None,
    config: ServerConfig = None,
    data_dir: ServerData = None,
) -> None:
    """Run jobs apart from the server, beside other workers."""
    from gatemill.cli import working

    words = tuple(word.strip() for word in (queues or "").split(",") if word.strip())
    flags = {"server.data_dir": data_dir, "jobs.metrics_port": metrics_port}
    raise typer.Exit(working.run(config, flags, words, slots or 0, quarantine=quarantine))

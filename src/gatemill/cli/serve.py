"""`gatemill serve`: the arguments. Rule: what happens then is in serving.py."""

from __future__ import annotations

from typing import Annotated

import typer

from gatemill.cli import serving
from gatemill.cli.ledger_access import ServerConfig


def serve(
    config: ServerConfig = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; 0 takes any free one.")
    ] = None,
    data_dir: Annotated[
        str | None, typer.Option(help="Folder of the database and the development key.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that answer; several need Redis to count in.")
    ] = None,
    watch: Annotated[
        bool | None,
        typer.Option(
            "--watch/--no-watch", help="Load the configuration again when its file changes."
        ),
    ] = None,
) -> None:
    """Start the gateway."""
    flags = {
        "server.host": host,
        "server.port": port,
        "server.data_dir": data_dir,
        "server.workers": workers,
        "server.watch": watch,
    }
    raise typer.Exit(serving.run({"config": config, **flags}))

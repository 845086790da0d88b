"""`gatemill fake-provider`: an upstream that answers by script, for tests and for trying failure."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Annotated

import typer

from gatemill.cli.failure import Failure
from gatemill.cli.terminal import print_text

if TYPE_CHECKING:
    from gatemill.fake_provider.server import FakeProvider


def fake_provider(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes any free one.")] = 8800,
) -> None:
    """Run a scripted upstream to test against."""
    import asyncio

    from gatemill.fake_provider.server import serve_forever

    try:
        asyncio.run(serve_forever(host, port, _on_ready))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise Failure(
                f"cannot listen on {host}:{port}: {error}", fix="--host 127.0.0.1"
            ) from error
        raise Failure(f"port {port} is in use", fix=f"--port {port + 1}") from error


def _on_ready(provider: FakeProvider) -> None:
    print_text(f"fake provider  {provider.url}")

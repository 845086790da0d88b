"""`python -m gatemill.runner --model FOLDER --socket PATH`: one model, served until told to stop.

Rule: a door: it reads arguments, and knows what its exit codes mean.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import uvicorn

from gatemill.core.tasks import spawn
from gatemill.runner.app import App
from gatemill.runner.engine import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

_LOOK_S = 0.5
_GRACE_S = 10  # for answers under way when the runner is told to stop
_NOT_STARTED = 3  # as uvicorn itself says it
_FAILED = 70  # EX_SOFTWARE: the engine has stopped by itself


def main(arguments: Sequence[str]) -> int:
    """Serves; 0 when it was told to stop, 3 when it could not start, 70 when its engine failed."""
    said = _parser().parse_args(arguments)
    values = {name: value for name, value in vars(said).items() if value is not None}
    place = {"uds": said.socket} if said.socket else {"host": "127.0.0.1", "port": said.port}
    app = App(msgspec.convert(values, Settings))
    config: Any = uvicorn.Config(
        app,
        lifespan="on",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=_GRACE_S,
        **place,
    )
    if said.with_parent:
        threading.Thread(target=_until_alone, daemon=True).start()
    # uvicorn raises the signal again when it has ended; by default that would be our end at once.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(0))
    try:
        return asyncio.run(_serve(uvicorn.Server(config), app))
    finally:
        if said.socket:
            _remove(Path(said.socket), with_folder=said.with_parent)


async def _serve(server: uvicorn.Server, app: App) -> int:
    watching = spawn(_watch(server, app), "engine")
    await server.serve()
    if watching.done() and not watching.cancelled():
        return _FAILED
    watching.cancel()
    return 0 if server.started else _NOT_STARTED


async def _watch(server: uvicorn.Server, app: App) -> None:
    """Ends the server when its model cannot generate any more: whoever started us starts the next."""
    while True:
        await asyncio.sleep(_LOOK_S)
        if app.has_failed:
            server.should_exit = True
            return


def _remove(path: Path, *, with_folder: bool) -> None:
    """The socket is gone, and the folder that was made for it, if whoever made it is."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
        if with_folder:
            path.parent.rmdir()


def _until_alone() -> None:
    """Whoever started us holds the other end of our standard input."""
    while os.read(0, 1 << 16):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m gatemill.runner", description=__doc__)
    parser.add_argument("--model", required=True, help="folder with config.json and *.safetensors")
    parser.add_argument("--name", help="what callers call it")
    parser.add_argument("--socket", help="Unix socket to listen on")
    parser.add_argument(
        "--port", type=int, default=8801, help="port of 127.0.0.1, without --socket"
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps; auto takes what is there")
    parser.add_argument("--dtype", help="float32, bfloat16, float16; auto is the weights' own")
    for name, text in (
        ("--threads", "of torch on the CPU"),
        ("--context-tokens", "most tokens of prompt and answer"),
        ("--output-default", "tokens of an answer whose request says nothing"),
        ("--output-max", "most tokens of an answer"),
        ("--concurrency-max", "answers generated together"),
        ("--waiting-max", "answers that wait"),
        ("--cache-bytes", "keys and values of all answers under way"),
    ):
        parser.add_argument(name, type=int, help=text)
    parser.add_argument(
        "--no-batching",
        dest="batching",
        action="store_const",
        const=False,
        help="one answer after the other",
    )
    parser.add_argument("--with-parent", action="store_true", help="stop when standard input ends")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

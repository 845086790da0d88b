"""What `gatemill serve` does: start lean, run the server or several, show the banner.

Rule: typer is not imported here. A server lives for weeks with what its start has loaded, so the
plain form of the command goes past the command line's libraries (`plain`): 8 MB and 0.1 s less.
"""

from __future__ import annotations

import errno
import os
import select
import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatemill.cli.failure import Failure, Invalid
from gatemill.cli.terminal import console, environment
from gatemill.core.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gatemill.edge.workers import Seat
    from gatemill.settings import Loaded
    from gatemill.settings.source import Draft, Source

_HINTS_MAX = 3
_LINE_MODELS_MAX = 8
_OPTIONS = {
    "--config": "config",
    "--host": "server.host",
    "--port": "server.port",
    "--data-dir": "server.data_dir",
    "--workers": "server.workers",
}
_NUMBERS = ("--port", "--workers")
_SWITCHES = {"--watch": ("server.watch", True), "--no-watch": ("server.watch", False)}


def plain(words: Sequence[str]) -> dict[str, Any] | None:
    """The flags of `serve --option value ...`; None for anything else, which typer then explains."""
    if list(words[:1]) != ["serve"]:
        return None
    flags: dict[str, Any] = {}
    rest = [part for word in words[1:] for part in word.split("=", 1)]
    for switch in [word for word in rest if word in _SWITCHES]:
        rest.remove(switch)
        option, value = _SWITCHES[switch]
        flags[option] = value
    if len(rest) % 2:
        return None
    for name, text in zip(rest[::2], rest[1::2], strict=True):
        path = _OPTIONS.get(name)
        if path is None or text.startswith("-") or (name in _NUMBERS and not text.isdecimal()):
            return None
        flags[path] = int(text) if name in _NUMBERS else text
    return flags


def run(flags: Mapping[str, Any]) -> int:
    """The server has run and ended; its exit code. `flags` has paths of options as keys."""
    from gatemill.settings.source import Source

    config = flags.get("config")
    rest = {name: value for name, value in flags.items() if name != "config"}
    source = Source(None if config is None else Path(config), environment(), rest)
    draft = source.load()
    if isinstance(draft, tuple):
        raise Invalid(list(draft))
    _import_lean()
    if draft.loaded.settings.server.workers > 1:
        return _run_workers(draft, source)
    return _run_one(draft, source)


def _run_one(draft: Draft, source: Source, seat: Seat | None = None, *, quiet: bool = False) -> int:
    from gatemill.edge.server import serve

    def ready(info: dict[str, Any]) -> None:
        if not quiet:
            _banner(draft.loaded, info)

    try:
        return serve(draft, source, ready, seat)
    except OSError as error:
        raise _unable(draft.loaded, error) from error


def _run_workers(draft: Draft, source: Source) -> int:
    """The supervisor has run and ended. In the process of a worker: that has."""
    import structlog

    from gatemill.core.clock import SystemClock
    from gatemill.edge.workers import Supervisor, bound
    from gatemill.observe import log

    server = draft.loaded.settings.server
    try:
        sockets = bound(server.host, server.port, server.workers)
    except OSError as error:
        raise _unable(draft.loaded, error) from error
    pretty = server.log == "pretty" or (server.log == "auto" and sys.stdout.isatty())
    direct: Any = _Direct(sys.stdout.fileno())
    log.configure(direct, level=server.log_level, pretty=pretty)

    def say(event: str, **fields: Any) -> None:
        logger = structlog.get_logger()
        (logger.warning if event == "worker_died" else logger.info)(event, **fields)

    work = partial(_work, draft, source)
    return Supervisor(sockets, work, say, SystemClock(), server.drain_timeout_s).run()


def _work(draft: Draft, source: Source, seat: Seat, replaces: bool) -> int:
    """A worker has run and ended; the supervisor hears why, if it failed."""
    from gatemill.core.errors import GatemillError

    if replaces:  # others may have loaded another configuration meanwhile
        draft = source.load_again(draft)
    try:
        return _run_one(draft, source, seat, quiet=replaces or seat.number > 1)
    except Failure as failure:
        seat.say("failed", f"{failure.message}. {failure.fix}")
    except GatemillError as error:
        seat.say("failed", error.message)
    return 1


class _Direct:
    """Log lines without a thread: the supervisor forks. One that would have to wait is dropped."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, lines: bytes) -> None:
        if select.select([], [self._fd], [], 0)[1]:
            os.write(self._fd, lines)


def _import_lean() -> None:
    """The log library is loaded without rich.

    For tracebacks in colour it would import rich and pygments: 5 MB of memory and 0.1 s of every
    start (structlog 26.1, Python 3.11, 2026-11) that a server does not need. The banner, which uses
    rich, imports it later and only on a terminal.
    """
    if "rich" in sys.modules:
        return
    not_importable: Any = None  # what Python takes for it in this table
    sys.modules["rich"] = not_importable
    try:
        import_module("structlog")
    finally:
        del sys.modules["rich"]


def _unable(loaded: Loaded, error: OSError) -> Failure:
    server = loaded.settings.server
    if error.errno == errno.EADDRINUSE:
        return Failure(
            f"port {server.port} on {server.host} is in use",
            fix=f"gatemill serve --port {server.port + 1}, or stop the other program",
        )
    if error.errno == errno.EACCES:
        return Failure(
            f"not allowed: {error}", fix="choose a port above 1023 and a folder of yours"
        )
    return Failure(f"cannot start: {error}", fix="check server.host, server.data_dir and ca_file")


def _banner(loaded: Loaded, info: dict[str, Any]) -> None:
    """Shown on a terminal; elsewhere the log says all that matters, and no secret is near."""
    server = loaded.settings.server
    if server.log == "json" or (server.log == "auto" and not sys.stdout.isatty()):
        return
    out = console()
    source = str(loaded.path) if loaded.path else "none (gatemill init writes one)"
    out.print(
        f"gatemill {VERSION}  ready in {info['ready_s']:.1f} s   pid {os.getpid()} · config: {source}",
        style="bold",
        soft_wrap=True,
    )
    for label, text in _lines(loaded, info):
        out.print(f"  {label:<9}", text, sep="", soft_wrap=True)


def _lines(loaded: Loaded, info: dict[str, Any]) -> list[tuple[str, str]]:
    from gatemill.ledger.place import locate

    server, url, key_path = loaded.settings.server, info["url"], info["key_path"]
    docs = f"   docs {url}/docs · schema /openapi.json" if server.openapi else ""
    database = locate(Path(server.data_dir), loaded.settings.stores.database or None).shown
    lines = [("API", f"{url}/v1{docs}")]
    if key_path is not None:
        lines.append(("Key", f"in {key_path} (0600)"))
    lines += [("Models", _models(loaded)), ("Stores", database)]
    if key_path is None:
        return [*lines, ("Key", "gatemill keys create NAME makes one")]
    options = "" if url == "http://127.0.0.1:8700" else f" --url {url}"
    if str(Path(server.data_dir)) != "data":
        options += f" --data-dir {server.data_dir}"
    model = next((name for name in info["models"] if not name.startswith("builtin/")), "echo")
    curl = (
        f'curl -s {url}/v1/chat/completions -H "Authorization: Bearer $(cat {key_path})"'
        f' -d \'{{"model": "{model}", "messages": [{{"role": "user", "content": "hello"}}]}}\''
    )
    return [*lines, ("Try", f'gatemill chat "hello"{options}'), ("or", curl)]


def _models(loaded: Loaded) -> str:
    """One line, like: echo ✓ built in │ gpt-* ✓ OPENAI_API_KEY │ claude-* - set ANTHROPIC_API_KEY."""
    from gatemill.settings import path_text

    by_origin: dict[str, list[str]] = {}
    for name in loaded.settings.models:
        origin = loaded.origins.get(path_text(("models", name, "targets", 0, "provider")), "")
        origin = origin.removeprefix("found ")
        by_origin.setdefault("" if ":" in origin else origin, []).append(name)
    parts = []
    for origin, names in by_origin.items():
        more = f" and {len(names) - _LINE_MODELS_MAX} more" if len(names) > _LINE_MODELS_MAX else ""
        parts.append(f"{', '.join(names[:_LINE_MODELS_MAX])}{more} ✓ {origin}".rstrip())
    return " │ ".join([*parts, *loaded.hints[:_HINTS_MAX]])

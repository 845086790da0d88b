"""What `gatemill serve` does: start lean, run the server or several, show the banner.

Rule: typer is not imported here. A server lives for weeks with what its start has loaded, so the
plain form of the command goes past the command line's libraries (`plain`): 8 MB and 0.1 s less.
"""

from __future__ import annotations

import errno
import os
import select
import sys
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatemill.cli.failure import Failure, Invalid
from gatemill.cli.terminal import console, environment
from gatemill.core.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from socket import socket

    from gatemill.edge.workers import Seat
    from gatemill.observe.logfile import LogFile
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
    "--seat": "seat",
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
    rest = {name: value for name, value in flags.items() if name not in ("config", "seat")}
    if flags.get("seat"):
        return _run_seated(flags["seat"], config, rest)
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


def _run_seated(text: str, config: str | None, flags: Mapping[str, Any]) -> int:
    """A worker that began anew has run and ended; the supervisor hears why, if it failed."""
    from gatemill.cli import seats
    from gatemill.settings.source import Draft, Source

    seat, kept = seats.taken(text)
    source = Source(None if config is None else Path(config), environment(), {**flags, **kept})
    draft = source.load()
    if not isinstance(draft, Draft) and not seat.rolls:
        # In the place of one that died, while the file is broken: what the others run.
        draft = source.load_newest() or draft
    if not isinstance(draft, Draft):
        seat.say("failed", " ".join(draft))
        return 1
    _import_lean()
    return _worked(draft, source, seat, quiet=True)


def _run_workers(draft: Draft, source: Source) -> int:
    """The supervisor has run and ended. In the process of a worker: that has."""
    import structlog

    from gatemill.cli import log_file, seats
    from gatemill.core.clock import SystemClock
    from gatemill.edge.workers import Supervisor, bound
    from gatemill.observe import log
    from gatemill.observe.board import bury, folder

    server = draft.loaded.settings.server
    try:
        sockets = bound(server.host, server.port, server.workers)
        admin: frozenset[socket] = frozenset()
        if server.admin_port is not None:
            more = bound(server.admin_host, server.admin_port, server.workers)
            admin = frozenset(one for each in more for one in each)
            sockets = [(*own, *each) for own, each in zip(sockets, more, strict=True)]
    except OSError as error:
        raise _unable(draft.loaded, error) from error
    file = log_file.opened(server)
    is_seen = file is None and sys.stdout.isatty()
    pretty = server.log == "pretty" or (server.log == "auto" and is_seen)
    direct: Any = _Direct(file or sys.stdout.fileno())
    log.configure(direct, level=server.log_level, pretty=pretty, levels=server.log_levels)

    def say(event: str, **fields: Any) -> None:
        logger = structlog.get_logger()
        (logger.warning if event == "worker_died" else logger.info)(event, **fields)

    # Loaded before the code may be another.
    work = partial(_work, draft, source, admin, seats.command)
    grace_s = server.drain_delay_s + server.drain_timeout_s
    supervisor = Supervisor(sockets, work, say, SystemClock(), grace_s)
    with folder() as supervisor.folder:
        supervisor.buried = partial(bury, supervisor.folder)
        return supervisor.run()


def _work(
    draft: Draft,
    source: Source,
    admin: frozenset[socket],
    anew: Callable[[Draft, Source, Seat], list[str]],
    seat: Seat,
    replaces: bool,
) -> int:
    """A worker has run and ended; the supervisor hears why, if it failed."""
    seat.admin = admin.intersection(seat.sockets)
    if seat.anew:
        words = anew(draft, source, seat)
        os.execv(words[0], words)
    if replaces:  # others may have loaded another configuration meanwhile
        draft = source.load_again(draft)
    return _worked(draft, source, seat, quiet=replaces or seat.number > 1)


def _worked(draft: Draft, source: Source, seat: Seat, *, quiet: bool) -> int:
    from gatemill.core.errors import GatemillError

    try:
        return _run_one(draft, source, seat, quiet=quiet)
    except Failure as failure:
        seat.say("failed", f"{failure.message}. {failure.fix}")
    except GatemillError as error:
        seat.say("failed", error.message)
    return 1


class _Direct:
    """Log lines without a thread: the supervisor forks. One that would have to wait is dropped."""

    def __init__(self, out: int | LogFile) -> None:
        self._out = out

    def write(self, lines: bytes) -> None:
        with suppress(OSError):  # the reader has gone, or the disk is full
            if not isinstance(self._out, int):
                self._out.write(lines)
            elif select.select([], [self._out], [], 0)[1]:
                os.write(self._out, lines)


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
            f"port {server.port} on {server.host} is in use"
            if server.admin_port is None
            else f"port {server.port} on {server.host}, or {server.admin_port} on {server.admin_host}, is in use",
            fix=f"gatemill serve --port {server.port + 1}, or stop the other program",
        )
    if error.errno == errno.EACCES:
        return Failure(
            f"not allowed: {error}", fix="choose a port above 1023 and a folder of yours"
        )
    return Failure(
        f"cannot start: {error}",
        fix="check server.host, server.data_dir, server.log_file and ca_file",
    )


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
        out.print(f"  {label:<10}", text, sep="", soft_wrap=True)


def _lines(loaded: Loaded, info: dict[str, Any]) -> list[tuple[str, str]]:
    from gatemill.ledger.place import locate

    server, url, key_path = loaded.settings.server, info["url"], info["key_path"]
    admin_url = info["admin_url"]
    docs = f"   docs {admin_url}/docs · schema /openapi.json" if server.openapi else ""
    database = locate(Path(server.data_dir), loaded.settings.stores.database or None).shown
    lines = [("API", f"{url}/v1{docs}")]
    if admin_url != url:
        lines.append(("Admin", f"{admin_url}   keys, settings, /metrics; not at the address above"))
    if info["signin_token"]:
        link = f"{admin_url}/ui/login?token={info['signin_token']}"
        lines.append(("Dashboard", f"{link}   one-time link, valid 30 min"))
    else:
        lines.append(("Dashboard", f"{admin_url}/ui   gatemill ui makes a link that signs in"))
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

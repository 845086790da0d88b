"""What `gatemill serve` does: start lean, run the server, show the banner.

Rule: typer is not imported here. A server lives for weeks with what its start has loaded, so the
plain form of the command goes past the command line's libraries (`plain`): 8 MB and 0.1 s less.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatemill import __version__
from gatemill.cli.failure import Failure
from gatemill.cli.terminal import console, settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gatemill.settings import Loaded

_HINTS_MAX = 3
_LINE_MODELS_MAX = 8
_OPTIONS = {
    "--config": "config",
    "--host": "server.host",
    "--port": "server.port",
    "--data-dir": "server.data_dir",
}


def plain(words: Sequence[str]) -> dict[str, Any] | None:
    """The flags of `serve --option value ...`; None for anything else, which typer then explains."""
    if list(words[:1]) != ["serve"]:
        return None
    flags: dict[str, Any] = {}
    rest = [part for word in words[1:] for part in word.split("=", 1)]
    if len(rest) % 2:
        return None
    for name, value in zip(rest[::2], rest[1::2], strict=True):
        option = _OPTIONS.get(name)
        if option is None or value.startswith("-") or (name == "--port" and not value.isdecimal()):
            return None
        flags[option] = int(value) if name == "--port" else value
    return flags


def run(flags: Mapping[str, Any]) -> int:
    """The server has run and ended; its exit code. `flags` has paths of options as keys."""
    config = flags.get("config")
    rest = {name: value for name, value in flags.items() if name != "config"}
    loaded = settings(None if config is None else Path(config), rest)
    _import_lean()
    from gatemill.edge.server import serve

    try:
        return serve(loaded, on_ready=lambda info: _banner(loaded, info))
    except OSError as error:
        raise _unable(loaded, error) from error


def _import_lean() -> None:
    """The log library is loaded without rich.

    For tracebacks in colour it would import rich and pygments: 5 MB of memory and 0.1 s of every
    start (structlog 26.1, Python 3.11, 2026-11) that a server does not need. The banner, which uses
    rich, imports it later and only on a terminal.
    """
    if "rich" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment]  # Python's way to say: not importable
    try:
        import structlog  # noqa: F401 - imported for its effect
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
        f"gatemill {__version__}  ready in {info['ready_s']:.1f} s   pid {os.getpid()} · config: {source}",
        style="bold",
        soft_wrap=True,
    )
    for label, text in _lines(loaded, info):
        out.print(f"  {label:<9}", text, sep="", soft_wrap=True)


def _lines(loaded: Loaded, info: dict[str, Any]) -> list[tuple[str, str]]:
    server, url, key_path = loaded.settings.server, info["url"], info["key_path"]
    docs = f"   docs {url}/docs · schema /openapi.json" if server.openapi else ""
    database = loaded.settings.stores.database or f"sqlite:///{Path(server.data_dir)}/gatemill.db"
    lines = [("API", f"{url}/v1{docs}")]
    if key_path is not None:
        lines.append(("Key", f"in {key_path} (0600)"))
    lines += [("Models", _models(loaded)), ("Stores", database)]
    if key_path is None:
        return [*lines, ("Key", "gatemill keys create NAME makes one")]
    options = "" if url == "http://127.0.0.1:8700" else f" --url {url}"
    if str(Path(server.data_dir)) != "data":
        options += f" --data-dir {server.data_dir}"
    model = next(iter(info["models"]), "echo")
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

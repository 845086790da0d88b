"""`gatemill check`: is the configuration good, and do the providers answer?

Rule: exit code 0 all is well or only warnings, 1 a provider does not work, 2 the file is wrong.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gatemill.cli.failure import Invalid
from gatemill.cli.live import FAILURE, OK, WARNING, Finding, probe_all
from gatemill.cli.terminal import paint, print_json, print_text, settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gatemill.settings import Loaded

_STYLES = {OK: "32", WARNING: "33", FAILURE: "31"}


def check(
    file: Annotated[
        Path | None, typer.Argument(help="Configuration file; by default the one that serve takes.")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Also ask every provider for its models.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the configuration without starting."""
    try:
        loaded = settings(file, ask_servers=live)
    except Invalid as invalid:
        if not as_json:
            raise
        print_json({"ok": False, "errors": invalid.lines, "findings": []})
        raise typer.Exit(2) from None
    findings = [*_offline(loaded), *(probe_all(loaded) if live else ())]
    failed = any(finding.mark == FAILURE for finding in findings)
    if as_json:
        shown = [finding._asdict() for finding in findings]
        print_json({"ok": not failed, "errors": [], "findings": shown})
    else:
        _show(findings)
    raise typer.Exit(1 if failed else 0)


def _offline(loaded: Loaded) -> Iterator[Finding]:
    providers, models = loaded.settings.providers, loaded.settings.models
    source = str(loaded.path) if loaded.path else "no file, built-in defaults"
    count = f"{_counted(len(providers), 'provider')}, {_counted(len(models), 'model name')}"
    yield Finding(OK, "config", f"{source} ({count})")
    yield from _keys_missing(loaded)
    yield from _keys_written(loaded)


def _keys_missing(loaded: Loaded) -> Iterator[Finding]:
    from gatemill.settings import vendors

    for name, provider in loaded.settings.providers.items():
        vendor = vendors()[provider.kind]
        if vendor.key_variables and not vendor.probe and provider.api_key is None:
            fix = f'export {vendor.key_variables[0]}=… and set api_key = "${{{vendor.key_variables[0]}}}"'
            yield Finding(WARNING, name, "has no api_key", fix)


def _keys_written(loaded: Loaded) -> Iterator[Finding]:
    """Keys that stand in the file itself, where they end up in version control."""
    from gatemill.settings import path_text

    if loaded.path is None:
        return
    raw = tomllib.loads(loaded.path.read_text(encoding="utf-8"))
    for name, provider in raw.get("providers", {}).items():
        key = provider.get("api_key", "")
        if key and not key.startswith("file:") and "${" not in key:
            where = loaded.origins[path_text(("providers", name, "api_key"))]
            fix = 'api_key = "${VARIABLE}" or "file:/path"'
            yield Finding(WARNING, name, f"its key is written in the file ({where})", fix)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _show(findings: Sequence[Finding]) -> None:
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        mark = paint(finding.mark, _STYLES[finding.mark], sys.stdout)
        speed = f" in {finding.latency_ms:.0f} ms" if finding.latency_ms is not None else ""
        fix = f" → {finding.fix}" if finding.fix else ""
        print_text(f"{mark} {finding.subject:<{width}}  {finding.text}{speed}{fix}")

"""`gatemill config`: the effective settings, and their schema. Rule: secrets are masked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from gatemill.cli.terminal import console, print_json, settings

app = typer.Typer(
    help="Show the effective configuration, or its schema.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("show")
def show(
    config: Annotated[Path | None, typer.Option(help="Configuration file.")] = None,
    origin: Annotated[
        bool, typer.Option("--origin", help="Also say where each value came from.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print every value that is in effect."""
    from gatemill.settings import leaves, path_text

    loaded = settings(config)
    rows = [
        {"path": path_text(path), "value": _shown(value), "origin": loaded.origins[path_text(path)]}
        for path, value in leaves(loaded.settings)
    ]
    if as_json:
        print_json(rows)
        return
    out = console()
    for row in rows:
        if row["value"] is None:
            continue
        line = f"{row['path']} = {_toml(row['value'])}"
        out.print(line, end="", soft_wrap=True)
        out.print(f"  # {row['origin']}" if origin else "", style="dim", soft_wrap=True)


@app.command("schema")
def schema() -> None:
    """Print the JSON Schema of gatemill.toml, for editors."""
    from gatemill.settings import Settings

    document = Settings.model_json_schema()
    print_json({"$schema": "https://json-schema.org/draft/2020-12/schema", **document})


def _shown(value: Any) -> Any:
    """The value for people: secrets and passwords masked, exact decimals as text."""
    from gatemill.settings import Secret

    if isinstance(value, Secret):
        return str(value)
    if isinstance(value, str) and "@" in value and urlsplit(value).password:
        parts = urlsplit(value)
        return parts._replace(netloc=f"…@{parts.netloc.rpartition('@')[2]}").geturl()
    if isinstance(value, (tuple, dict)):
        return list(value)  # only empty ones are leaves
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return str(value)

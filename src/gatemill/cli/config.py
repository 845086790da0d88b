"""`gatemill config`: the effective settings, their schema, and those that were in effect before.

Rule: secrets are masked.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatemill.cli.failure import Failure, Invalid
from gatemill.cli.gateway_options import Key, Url
from gatemill.cli.reload import asked
from gatemill.cli.reload import show as show_reload
from gatemill.cli.terminal import (
    console,
    environment,
    note,
    print_json,
    print_table,
    print_text,
    settings,
)

if TYPE_CHECKING:
    from gatemill.settings.history import Entry, History
    from gatemill.settings.source import Draft, Source

app = typer.Typer(
    help="Show the configuration, go back in its history, import one.",
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
    from gatemill.settings.difference import shown

    loaded = settings(config)
    rows = [
        {"path": path_text(path), "value": shown(value), "origin": loaded.origins[path_text(path)]}
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


ConfigOption = Annotated[Path | None, typer.Option(help="Configuration file.")]
FolderOption = Annotated[
    Path | None, typer.Option(help="Data folder of the gateway; by default the configured one.")
]


@app.command("history")
def history(
    config: ConfigOption = None,
    data_dir: FolderOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the configurations that were in effect, the newest first."""
    entries = _past(config, data_dir)[1].entries()
    if as_json:
        print_json(
            [{"number": e.number, "version": e.version, "applied_at": e.unix_s} for e in entries]
        )
        return
    rows = [(str(e.number), e.version, f"{_when(e)}  {e.path}") for e in entries]
    print_table(("number", "version", "applied, UTC"), rows)


@app.command("rollback")
def rollback(
    number: Annotated[
        int | None,
        typer.Argument(metavar="NUMBER", help="Number in the history; by default the one before."),
    ] = None,
    config: ConfigOption = None,
    data_dir: FolderOption = None,
    url: Url = None,
    key: Key = None,
) -> None:
    """Go back to a configuration of the history. Writes it over the file, and reloads a running gateway."""
    from gatemill.settings.difference import difference
    from gatemill.settings.history import UNAPPLIED, replace

    source, past = _past(config, data_dir)
    now = source.load()
    entry, back = _chosen(source, past, now, number)
    file = source.file.resolve()
    old = file.read_bytes() if file.exists() else b""
    if old not in [kept.text for kept in past.entries()]:
        past.add(old, UNAPPLIED, time.time())
    replace(file, entry.text, mode=file.stat().st_mode & 0o777 if file.exists() else 0o600)
    print_text(f"{source.file} is number {entry.number} again, version {entry.version}")
    try:
        said = asked((url, key, data_dir or back.loaded.settings.data_dir), dry_run=False)
    except Failure as failure:
        if isinstance(failure, Invalid):
            raise
        if not isinstance(now, tuple):
            for line in difference(now.loaded.settings, back.loaded.settings):
                print_text(line)
        note(f"not reloaded: {failure.message}; it takes effect with the next start or reload")
        return
    show_reload(said)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="LiteLLM's config.yaml.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write; - prints it.")
    ] = Path("gatemill.toml"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Make gatemill.toml of a LiteLLM configuration. Says line by line what has no counterpart."""
    from gatemill.cli.importing import import_file

    import_file(file, output, as_json=as_json)


def _past(config: Path | None, data_dir: Path | None) -> tuple[Source, History]:
    from gatemill.settings.history import History
    from gatemill.settings.source import Source

    source = Source(config, environment(), {}, lister=None)
    if data_dir is None:
        now = source.load()
        if isinstance(now, tuple):
            note(
                f"{source.file} cannot be read, so the history is looked for in data; see --data-dir"
            )
            data_dir = Path("data")
        else:
            data_dir = now.loaded.settings.data_dir
    return source, History(data_dir)


def _chosen(
    source: Source, past: History, now: Draft | tuple[str, ...], number: int | None
) -> tuple[Entry, Draft]:
    """The entry to go back to; the newest that says something else when no number is given."""
    from gatemill.settings.difference import difference

    if number is not None:
        entry = past.find(number)
        if entry is None:
            raise Failure(f"the history has no number {number}", fix="gatemill config history")
        back = source.load_kept(entry)
        if isinstance(back, tuple):
            raise Invalid(list(back))
        return entry, back
    for entry in past.applied():
        back = source.load_kept(entry)
        if isinstance(back, tuple):
            continue
        if isinstance(now, tuple) or difference(now.loaded.settings, back.loaded.settings):
            return entry, back
    raise Failure("there is no other configuration to go back to", fix="gatemill config history")


def _when(entry: Entry) -> str:
    return datetime.fromtimestamp(entry.unix_s, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return str(value)

"""`gatemill batch`: many requests in one file. Rule: what OpenAI's SDK does, and a bar besides."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from gatemill.cli.asking import Where, asked, pages, told
from gatemill.cli.failure import Failure
from gatemill.cli.gateway_options import DATA, Data, Key, Limit, Metadata, Url
from gatemill.cli.ledger_access import AsJson
from gatemill.cli.terminal import note, print_json, print_text
from gatemill.core.clock import SystemClock

BatchId = Annotated[str, typer.Argument(metavar="ID", help="Id of the batch.")]
Watch = Annotated[bool, typer.Option("--watch", help="Show how far it is, to its end.")]
Output = Annotated[
    Path | None, typer.Option(help="File for the answers; errors go beside it, to NAME.errors.")
]

app = typer.Typer(
    help="Send many requests in a file; fetch the answers.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("submit")
def submit(
    file: Annotated[Path, typer.Argument(metavar="FILE.jsonl", help="One request a line.")],
    endpoint: Annotated[
        str, typer.Option(help="Such as /v1/chat/completions; by default the first line's url.")
    ] = "",
    metadata: Metadata = None,
    watch: Watch = False,
    output: Output = None,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Submit a batch; print its id, or watch and fetch it."""
    from gatemill.cli import files
    from gatemill.cli.options import pairs

    where = (url, key, data_dir)
    asks: dict[str, Any] = {
        "endpoint": endpoint or files.endpoint_of(file),
        "completion_window": "24h",
    }
    if metadata:
        asks["metadata"] = pairs(metadata)
    asks["input_file_id"] = files.upload(where, file, "batch")["id"]
    batch = told(where, "POST", "/v1/batches", asks)
    if not (watch or output):
        _print(batch, as_json=as_json)
        note(f"{batch['status']}: gatemill batch show {batch['id']} --watch")
        return
    note(batch["id"])
    batch = _watched(where, batch["id"])
    if output:
        _fetch(where, batch, output)
    elif as_json:
        print_json(batch)
    _fail_unless_completed(batch)


@app.command("ls")
def ls(
    limit: Limit = 20,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """List batches, the newest first."""
    from gatemill.cli import batches_shown, jobs_shown

    found = pages((url, key, data_dir), "/v1/batches", {}, limit)
    table = partial(batches_shown.table, now_s=SystemClock().unix_s())
    jobs_shown.print_list(found, table, as_json=as_json)


@app.command("show")
def show(
    batch_id: BatchId,
    watch: Watch = False,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Show a batch: how far it is, its cost, its mistakes."""
    where = (url, key, data_dir)
    batch = asked(where, "GET", _path(batch_id))
    if watch:
        batch = _watched(where, batch_id)
    if as_json:
        print_json(batch)
    else:
        from gatemill.cli import batches_shown

        batches_shown.show(batch)
    if watch:
        _fail_unless_completed(batch)


@app.command("cancel")
def cancel(batch_id: BatchId, url: Url = None, key: Key = None, data_dir: Data = DATA) -> None:
    """Cancel a batch; what is done by then is in its results."""
    batch = asked((url, key, data_dir), "POST", f"{_path(batch_id)}/cancel")
    note(f"{batch_id} is {batch['status']}")


@app.command("results")
def results(
    batch_id: BatchId,
    errors: Annotated[
        bool, typer.Option("--errors", help="The lines that failed instead of the answers.")
    ] = False,
    output: Output = None,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
) -> None:
    """Fetch the answers of a batch, one a line."""
    from gatemill.cli import files

    where = (url, key, data_dir)
    batch = asked(where, "GET", _path(batch_id))
    if output:
        _fetch(where, batch, output)
        return
    file_id = batch.get("error_file_id" if errors else "output_file_id")
    if file_id is None:
        what = "errors" if errors else "answers"
        raise Failure(f"there are no {what}: {batch_id} is {batch['status']}")
    files.write_out(where, file_id)


def _watched(where: Where, batch_id: str) -> dict[str, Any]:
    from gatemill.cli import batches_shown

    return batches_shown.watch(where, _path(batch_id))


def _fetch(where: Where, batch: dict[str, Any], output: Path) -> None:
    """The answers are in the file, the errors beside it; a file that there is not is not made."""
    from gatemill.cli import files

    beside = output.with_name(output.name + ".errors")
    for name, path in (("output_file_id", output), ("error_file_id", beside)):
        file_id = batch.get(name)
        if file_id is not None:
            lines = files.fetch(where, file_id, path)
            note(f"{path}: {lines} line{'' if lines == 1 else 's'}")


def _fail_unless_completed(batch: dict[str, Any]) -> None:
    if batch["status"] != "completed":
        raise typer.Exit(1)


def _print(batch: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(batch)
    else:
        print_text(batch["id"])


def _path(batch_id: str) -> str:
    return f"/v1/batches/{quote(batch_id, safe='')}"

"""`gatemill stores`: vector stores of a running gateway. Rule: what OpenAI's SDK does, and waiting besides."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from gatemill.cli import ask
from gatemill.cli.asking import Where, asked, pages, told
from gatemill.cli.failure import Failure
from gatemill.cli.gateway_options import DATA, Data, Key, Limit, Url
from gatemill.cli.ledger_access import AsJson
from gatemill.cli.terminal import note, print_json, print_table, print_text

ENDINGS = (".txt", ".md", ".markdown", ".rst", ".html", ".htm", ".pdf")  # taken of a folder
FILES_MAX = 2_000  # added at once
STORES_MAX = 1_000  # looked through for a name
PAUSE_S = 0.3  # between two looks at how far it is
_PATH = "/v1/vector_stores"

Store = Annotated[str, typer.Argument(metavar="STORE", help="Its id or name.")]

app = typer.Typer(
    help="Make vector stores, fill and search them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("search")(ask.search)


@app.command("ls")
@app.command("list", hidden=True)
def list_(
    limit: Limit = 20,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """List vector stores, the newest first."""
    found = pages((url, key, data_dir), _PATH, {}, limit)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            one["id"],
            one["name"],
            one["mode"],
            one["embedding_model"] or "",
            str(one["file_counts"]["completed"]),
            str(one["chunks"]),
        )
        for one in found
    ]
    print_table(("ID", "NAME", "MODE", "EMBEDDING MODEL", "DOCUMENTS", "PASSAGES"), rows)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What you call it.")],
    embedding_model: Annotated[
        str | None,
        typer.Option(help="Who embeds it; by default knowledge.embedding_model of the gateway."),
    ] = None,
    mode: Annotated[str, typer.Option(help="auto, keyword or hybrid.")] = "auto",
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Make a vector store; print its id."""
    asks: dict[str, Any] = {"name": name, "mode": mode}
    if embedding_model is not None:
        asks["embedding_model"] = embedding_model
    made = told((url, key, data_dir), "POST", _PATH, asks)
    if as_json:
        print_json(made)
    else:
        print_text(made["id"])


@app.command("add")
def add(
    store: Store,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="Files; of a folder, those with text.")
    ],
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Add files to a store, and wait until they can be found."""
    from gatemill.cli.files import upload

    where = (url, key, data_dir)
    store_id = _id_of(where, store)
    paths = _listed(files)
    ids = {upload(where, path, "assistants")["id"]: path for path in paths}
    path = f"{_PATH}/{store_id}/file_batches"
    batch = told(where, "POST", path, {"file_ids": list(ids)})
    while batch["status"] == "in_progress":
        time.sleep(PAUSE_S)
        batch = asked(where, "GET", f"{path}/{batch['id']}")
    if as_json:
        print_json(batch)
    counts = batch["file_counts"]
    note(f"{counts['completed']} of {counts['total']} files are in {store}")
    if counts["completed"] < counts["total"]:
        _tell_failures(where, f"{path}/{batch['id']}/files", ids)
        raise typer.Exit(1)


@app.command("rm")
@app.command("delete", hidden=True)
def rm(store: Store, url: Url = None, key: Key = None, data_dir: Data = DATA) -> None:
    """Delete a store and all documents in it; files stay."""
    where = (url, key, data_dir)
    store_id = _id_of(where, store)
    asked(where, "DELETE", f"{_PATH}/{store_id}")
    note(f"{store_id} is deleted")


def _id_of(where: Where, store: str) -> str:
    """The id of a store that is named by it or by its name. Raises Failure."""
    found = pages(where, _PATH, {"order": "asc"}, STORES_MAX)
    for one in found:
        if store in (one["id"], one["name"]):
            return quote(one["id"], safe="")
    raise Failure(f"there is no store {store}", fix="gatemill stores ls", code=2)


def _listed(paths: list[Path]) -> list[Path]:
    """Files, and those below folders, in their order. Raises Failure."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            below = (one for one in sorted(path.rglob("*")) if one.is_file())
            found += [one for one in below if one.suffix.lower() in ENDINGS]
        elif path.is_file():
            found.append(path)
        else:
            raise Failure(f"there is no file {path}", fix="name files or folders", code=2)
    if not 1 <= len(found) <= FILES_MAX:
        raise Failure(f"these are {len(found)} files", fix=f"name 1 to {FILES_MAX}", code=2)
    return found


def _tell_failures(where: Where, path: str, ids: dict[str, Path]) -> None:
    for one in pages(where, path, {"filter": "failed"}, FILES_MAX):
        note(f"{ids[one['id']]}: {one['last_error']['message']}")

"""`gatemill ask`, `gatemill stores search`: questions to documents. Rule: asks a running gateway, as any program can."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from gatemill.cli.asking import told
from gatemill.cli.gateway_options import DATA, Data, Key, Url
from gatemill.cli.ledger_access import AsJson
from gatemill.cli.terminal import note, print_json, print_table, print_text

_SHOWN_CHARS = 100  # of a passage in a table

Rerank = Annotated[
    str,
    typer.Option(help="Put the passages in order again: mmr, or the name of a rerank model."),
]


def ask(
    question: Annotated[
        str, typer.Argument(metavar="QUESTION", help="What the documents are asked.")
    ],
    store: Annotated[str, typer.Option("--store", "-s", help="Vector store, by id or name.")],
    top_k: Annotated[int, typer.Option(min=1, max=50, help="Passages to answer from.")] = 5,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Who answers; by default the gateway says.")
    ] = None,
    rerank: Rerank = "none",
    passages: Annotated[
        bool, typer.Option("--passages", help="Passages alone: no model is asked to answer.")
    ] = False,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Ask your documents; the answer names its passages."""
    asks: dict[str, Any] = {"query": question, "store": store, "top_k": top_k}
    if model is not None:
        asks["model"] = model
    if rerank in {"none", "mmr"}:
        asks["rerank"] = {"method": rerank}
    else:
        asks["rerank"] = {"method": "model", "model": rerank}
    said = told((url, key, data_dir), "POST", "/v1/rag/query", {**asks, "answer": not passages})
    if as_json:
        print_json(said)
        return
    if said["answer"] is not None:
        print_text(said["answer"])
    shown = said["citations"] if passages else _cited(said)
    if shown:
        rows = [(f"[{one['n']}]", one["title"], _places(one), _line(one["text"])) for one in shown]
        print_table(("", "DOCUMENT", "CHARACTERS", "PASSAGE"), rows)
    for each in said["degraded"]:
        note(f"done without the {each}")


def search(
    store: Annotated[str, typer.Argument(metavar="STORE", help="Its id or name.")],
    query: Annotated[str, typer.Argument(metavar="QUERY", help="Words to look for.")],
    limit: Annotated[int, typer.Option(min=1, max=50, help="Passages at most.")] = 10,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Find passages in a store."""
    asks = {"query": query, "max_num_results": limit}
    path = f"/v1/vector_stores/{quote(store, safe='')}/search"
    found = told((url, key, data_dir), "POST", path, asks)
    if as_json:
        print_json(found)
        return
    rows = [
        (f"{one['score']:.3f}", one["filename"], _line(one["content"][0]["text"]))
        for one in found["data"]
    ]
    print_table(("SCORE", "DOCUMENT", "PASSAGE"), rows)


def _cited(said: dict[str, Any]) -> list[dict[str, Any]]:
    """The passages that the answer names."""
    return [one for one in said["citations"] if one["n"] in said["cited"]]


def _places(citation: dict[str, Any]) -> str:
    return f"{citation['start']}-{citation['end']}"


def _line(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _SHOWN_CHARS else f"{words[: _SHOWN_CHARS - 1]}…"

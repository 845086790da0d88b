"""`gatemill ask` and `gatemill stores search` against a real server with two documents."""

from __future__ import annotations

import json

import pytest

from cli_run import Command
from gatemill.cli import ask as asking
from openapi_examples import fetch
from running import serve

DOCUMENTS = [
    {"id": "a", "title": "keys.md", "text": "Keys are made by the command keys create.\n" * 2},
    {"id": "b", "title": "money.md", "text": "A budget stops a key when its money is spent."},
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory):
    with serve(tmp_path_factory.mktemp("asked")) as server:
        keyed = {"authorization": f"Bearer {server.key}"}

        def post(path: str, body: object) -> dict[str, object]:
            said = fetch(server.url + path, keyed, json.dumps(body).encode())
            assert said.status == 200, said.body
            found: dict[str, object] = json.loads(said.body)
            return found

        store = post("/v1/vector_stores", {"name": "docs"})
        post(f"/v1/vector_stores/{store['id']}/documents", {"documents": DOCUMENTS})
        yield server


@pytest.fixture
def ask(gatemill: Command, known: dict[str, str]):
    return lambda *arguments: gatemill("ask", *arguments, **known)


def test_an_answer_comes_with_the_passages_that_it_names(ask) -> None:
    said = ask("How are keys made?", "--store", "docs")
    assert said.code == 0, said.err
    first, *table = said.out.splitlines()
    assert first == "Keys are made by the command keys create. [1]"
    assert [line.split()[:2] for line in table] == [["DOCUMENT", "CHARACTERS"], ["[1]", "keys.md"]]
    assert "0-8" in table[1]


def test_passages_alone_are_all_of_them(ask) -> None:
    said = ask("key money command", "-s", "docs", "--passages", "--rerank", "builtin/lexical")
    assert said.code == 0, said.err
    assert {"keys.md", "money.md"} <= set(said.out.split())
    assert said.out.splitlines()[0].split() == ["DOCUMENT", "CHARACTERS", "PASSAGE"]


def test_json_is_what_the_gateway_said(ask) -> None:
    said = json.loads(ask("How are keys made?", "--store", "docs", "--json", "--top-k", "1").out)
    assert (said["object"], said["cited"], len(said["citations"])) == ("rag.answer", [1], 1)


def test_what_is_refused_says_why(ask) -> None:
    nobody = ask("How are keys made?", "--store", "none")
    assert nobody.code == 1
    assert "no vector store" in nobody.err
    short = ask("ab", "--store", "docs")
    assert (short.code, "3 to 4000" in short.err) == (2, True)
    without = ask("How are keys made?", "-s", "docs", "--rerank", "mmr")
    assert (without.code, "vectors" in without.err) == (2, True)
    model = ask("How are keys made?", "-s", "docs", "--model", "nobody")
    assert "nobody" in model.err


def test_a_search_shows_the_best_passages(capsys, running) -> None:
    asking.search("docs", "budget key", 1, running.url, running.key)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["SCORE", "DOCUMENT", "PASSAGE"]
    assert lines[1].split()[:2] == ["1.000", "money.md"]
    asking.search("docs", "budget", 1, running.url, running.key, as_json=True)
    assert json.loads(capsys.readouterr().out)["data"][0]["filename"] == "money.md"


def test_what_was_done_without_is_noted(monkeypatch, capsys) -> None:
    said = {
        "answer": "Yes.",
        "citations": [],
        "cited": [],
        "degraded": ["embedder: upstream_timeout"],
    }
    monkeypatch.setattr(asking, "told", lambda *_: said)
    asking.ask("Is it so?", "docs")
    seen = capsys.readouterr()
    assert seen.out == "Yes.\n"
    assert "done without the embedder: upstream_timeout" in seen.err


def test_a_long_passage_is_cut_to_a_line() -> None:
    assert asking._line("a \n b") == "a b"
    assert len(asking._line("word " * 50)) == 100

"""`gatemill stores` against a real server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli_run import Command
from running import serve


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory):
    with serve(tmp_path_factory.mktemp("stores")) as server:
        yield server


@pytest.fixture
def stores(gatemill: Command, known):
    return lambda *arguments, **more: gatemill("stores", *arguments, **(known | more))


def test_files_go_into_a_store_are_found_and_go_with_it(stores, tmp_path: Path):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "mill.md").write_text("# Mill\n\nThe mill grinds oats at noon.\n")
    (folder / "empty.txt").write_text(" ")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    made = stores("create", "manuals", "--mode", "keyword")
    assert made.code == 0, made.err
    added = stores("add", "manuals", str(folder))
    assert (added.code, "1 of 2 files are in manuals" in added.err) == (1, True), added
    assert "empty.txt: There is no text in it." in added.err
    listed = json.loads(stores("list", "--json").out)
    assert [(one["name"], one["chunks"]) for one in listed] == [("manuals", 1)]
    table = stores("list").out
    assert made.out.strip() in table
    assert "mill.md" in stores("search", made.out.strip(), "oats").out
    assert stores("delete", "manuals").code == 0
    assert json.loads(stores("list", "--json").out) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add", "nowhere", __file__), "there is no store nowhere"),
        (("create", "x", "--mode", "hybrid"), "embedding_model"),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(stores, arguments, words):
    refused = stores(*arguments)
    assert refused.code == 2
    assert words in refused.err


def test_a_file_that_is_not_there_is_named(stores, tmp_path: Path):
    stores("create", "here")
    refused = stores("add", "here", str(tmp_path / "none.txt"))
    assert (refused.code, "none.txt" in refused.err) == (2, True)
    assert stores("add", "here", str(tmp_path)).code == 2
    assert json.loads(stores("create", "there", "--json").out)["name"] == "there"
    for name in ("here", "there"):
        stores("delete", name)

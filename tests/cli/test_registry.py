"""`gatemill models` and `gatemill prompts`, as far as they ask a running gateway for versions and aliases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli_run import Command
from running import serve


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory):
    with serve(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture
def ask(gatemill: Command, known):
    return lambda *arguments: gatemill(*arguments, **known)


def test_versions_are_added_moved_listed_and_archived(ask, tmp_path: Path):
    (tmp_path / "card.md").write_text("# Mood\n")
    made = ask("models", "create", "mood", "--task", "classify", "--json")
    assert json.loads(made.out)["kind"] == "model"
    added = ask("models", "add-version", "mood", "builtin:sentiment", "--card", "card.md", "--json")
    assert json.loads(added.out)["card"] == "# Mood\n"
    assert ask("models", "add-version", "mood", "builtin:sentiment").out == "mood:2\n"
    moved = ask("models", "alias", "mood", "production", "2", "-m", "new", "--if-current", "0")
    assert moved.err == "mood@production is mood:2.\n"
    moved = ask("models", "alias", "mood", "production", "1", "-m", "old", "--json")
    assert json.loads(moved.out)["previous"] == 2
    back = ask("models", "rollback", "mood", "production", "-m", "back", "--if-current", "1")
    assert back.err == "mood@production is mood:2, was mood:1.\n"
    table = ask("models", "versions", "mood").out.splitlines()
    assert table[1].split()[:3] == ["mood:2", "production", "builtin:sentiment"]
    assert len(json.loads(ask("models", "versions", "mood", "--json").out)) == 2
    assert "rollback" in ask("models", "events", "mood").out.splitlines()[1]
    assert len(json.loads(ask("models", "events", "mood", "--json", "--limit", "2").out)) == 2
    assert ask("models", "archive", "mood", "1", "-m", "replaced").code == 0
    assert "archived" in ask("models", "versions", "mood").out
    assert ask("models", "delete", "mood", "-m", "over").err == "mood is gone.\n"


def test_a_version_is_trained_from_a_file(ask, tmp_path: Path):
    rows = [{"text": f"invoice {n}", "label": "billing"} for n in range(4)]
    rows += [{"text": f"crash {n}", "label": "bug"} for n in range(4)]
    (tmp_path / "tickets.jsonl").write_text("\n\n".join(map(json.dumps, rows)))
    ask("models", "create", "tickets", "--task", "classify")
    options = ("--examples", "tickets.jsonl", "--embedding-model", "builtin/hash-512")
    added = ask("models", "add-version", "tickets", *options)
    assert (added.code, added.out) == (0, "tickets:1\n")
    assert "100.0% right (±0.0%) on examples held out" in added.err


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (("models", "create", "a/b", "--task", "embed"), "`name`: send", 2),
        (("models", "versions", "none"), "nothing called `none`", 1),
        (("models", "add-version", "none", "builtin:sentiment"), "nothing called `none`", 1),
        (("models", "add-version", "x", "--examples", "missing.jsonl"), "cannot be read", 1),
        (("models", "add-version", "x", "--examples", "broken.jsonl"), "broken.jsonl", 2),
        (("models", "add-version", "x", "builtin:none", "--sha256", "0"), "nothing called", 1),
        (("prompts", "add-version", "x", "broken.json"), "broken.json", 2),
        (("prompts", "render", "x", "1", "--var", "name"), "--var name: no value", 2),
        (("prompts", "render", "x", "1", "--feature", "n:={"), "--feature n:={: no value", 2),
        (("prompts", "render", "x", "1"), "no prompt `x:1`", 1),
    ],
)
def test_a_refusal_is_one_line_with_its_reason(ask, tmp_path, arguments, words, code):
    (tmp_path / "broken.jsonl").write_text("{")
    (tmp_path / "broken.json").write_text("{")
    said = ask(*arguments)
    assert said.code == code, said
    assert words in said.err


def test_prompts_are_made_given_listed_rendered_and_compared(ask, running, tmp_path: Path):
    (tmp_path / "one.txt").write_text("Hello {{ name }}, {{ n }} times")
    two = {"template": "Hi {{ name }}", "variables": {"name": {}}, "params": {"temperature": 0}}
    (tmp_path / "two.json").write_text(json.dumps(two))
    assert "Next: gatemill prompts add-version" in ask("prompts", "create", "greet").err
    made = json.loads(ask("prompts", "create", "other", "--json").out)
    assert made["kind"] == "prompt"
    assert ask("prompts", "add-version", "greet", "one.txt").out == "greet:1\n"
    added = ask("prompts", "add-version", "greet", "two.json", "--json")
    assert json.loads(added.out)["version"] == 2
    assert ask("prompts", "alias", "greet", "production", "1", "-m", "first").code == 0
    listed = ask("prompts", "ls").out.splitlines()
    assert listed[1].split()[:3] == ["greet", "greet:1", "production=1"]
    assert [each["id"] for each in json.loads(ask("prompts", "ls", "--json").out)] == [
        "greet",
        "other",
    ]
    ask("teams", "create", "red", "--data-dir", str(running.data_dir))
    assert ask("prompts", "set", "greet", "--team", "red").err == "greet is for the team red.\n"
    assert ask("prompts", "create", "ours", "--team", "red").code == 0
    listed = [line.split() for line in ask("prompts", "ls", "--team", "red").out.splitlines()[1:]]
    assert [(line[0], line[3]) for line in listed] == [("greet", "red"), ("ours", "red")]
    changed = ask("prompts", "set", "greet", "--team", "", "--json")
    assert json.loads(changed.out)["team_id"] == ""
    assert ask("prompts", "set", "ours", "--team", "").err == "ours is for everybody.\n"
    assert "no team with this id" in ask("prompts", "set", "greet", "--team", "nobody").err
    said = ask("prompts", "render", "greet", "1", "--var", "name=Ann", "--var", "n=3")
    assert said.out == "user: Hello Ann, 3 times\n"
    said = ask("prompts", "render", "greet", "2", "--var", 'name:="Bob"', "--json")
    assert json.loads(said.out)["params"] == {"temperature": 0}
    said = ask("prompts", "compare", "greet", "1", "2").out
    assert "-user: Hello {{ name }}, {{ n }} times" in said and "params: {} -> " in said
    assert json.loads(ask("prompts", "compare", "greet", "1", "2", "--json").out)["from"] == 1

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import postgres_service
from cli_run import Command
from gatemill.cli import db


@pytest.fixture
def postgres() -> Iterator[dict[str, str]]:
    """The environment of a command that uses a Postgres of its own."""
    with postgres_service.database() as url:
        address = url.replace("postgres@", "postgres:s3cret@")
        yield {"GATEMILL_STORES__DATABASE": address}


def listed(gatemill: Command, *arguments: str, **extra: str) -> object:
    return msgspec.json.decode(gatemill("keys", "ls", "--json", *arguments, **extra).out)


def test_keys_work_the_same_on_postgres(gatemill: Command, postgres: dict[str, str]) -> None:
    secret = gatemill("keys", "create", "app", **postgres).out.strip()
    assert secret.startswith("gm-")
    assert " app " in gatemill("keys", "ls", **postgres).out
    assert gatemill("keys", "revoke", secret, **postgres).code == 0
    assert not Path("data/gatemill.db").exists()


def test_a_database_moves_to_postgres_and_back(gatemill: Command, postgres: dict[str, str]) -> None:
    for name in ("one", "two"):
        gatemill("keys", "create", name)
    before = listed(gatemill)
    result = gatemill("db", "export", "all.jsonl")
    assert result.code == 0
    assert "from sqlite:///" in result.err
    assert "`pepper`" in result.err
    assert stat.S_IMODE(Path("all.jsonl").stat().st_mode) == 0o600

    result = gatemill("db", "import", "all.jsonl", **postgres)
    assert result.code == 0
    assert "s3cret" not in result.err
    assert listed(gatemill, **postgres) == before
    assert gatemill("db", "export", "back.jsonl", **postgres).code == 0

    shutil.move("data/pepper", "pepper")
    shutil.rmtree("data")
    result = gatemill("db", "import", "back.jsonl")
    assert result.code == 0
    assert "copy the file `pepper`" in result.err
    shutil.move("pepper", "data/pepper")
    assert listed(gatemill) == before


def test_an_import_needs_an_empty_database_and_its_own_pepper(gatemill: Command) -> None:
    gatemill("keys", "create", "one")
    gatemill("db", "export", "all.jsonl")
    result = gatemill("db", "import", "all.jsonl")
    assert result.code == 1
    assert "not empty" in result.err
    gatemill("keys", "create", "else", "--data-dir", "other")
    Path("other/gatemill.db").unlink()
    result = gatemill("db", "import", "all.jsonl", "--data-dir", "other")
    assert result.code == 1
    assert "another pepper" in result.err


def test_an_export_overwrites_nothing_and_leaves_no_half(gatemill: Command) -> None:
    gatemill("keys", "create", "one")
    Path("there").write_text("mine")
    result = gatemill("db", "export", "there")
    assert result.code == 1
    assert "exists already" in result.err
    assert Path("there").read_text() == "mine"
    result = gatemill("db", "export", "nowhere/all.jsonl")
    assert result.code == 1
    assert "cannot be written" in result.err


def test_a_file_whose_writing_fails_is_gone(tmp_path: Path) -> None:
    def fail() -> None:
        with db._new_file(tmp_path / "half", int) as file:
            file.write(b"x")
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert not (tmp_path / "half").exists()


def test_a_file_that_cannot_be_read_is_named(gatemill: Command) -> None:
    result = gatemill("db", "import", "nothing.jsonl")
    assert result.code == 1
    assert "nothing.jsonl cannot be read" in result.err


@pytest.mark.parametrize("command", [["status"], ["export", "f"]])
def test_a_database_that_is_not_there_is_not_made(gatemill: Command, command: list[str]) -> None:
    result = gatemill("db", *command)
    assert result.code == 1
    assert "there is no database" in result.err
    assert not Path("data").exists()
    assert not Path("f").exists()


def test_an_upgrade_makes_the_schema_and_then_has_nothing_to_do(
    gatemill: Command, postgres: dict[str, str]
) -> None:
    for extra in ({}, postgres):
        first = gatemill("db", "upgrade", **extra)
        assert first.code == 0
        assert first.out.endswith(", was 0\n")
        assert "s3cret" not in first.out
        assert gatemill("db", "upgrade", **extra).out == first.out.replace(", was 0", "")


def test_the_status_says_where_and_how_much(gatemill: Command, postgres: dict[str, str]) -> None:
    for extra in ({}, postgres):
        if extra:
            empty = gatemill("db", "status", **extra).out
            assert "schema version 0 of " in empty
            assert "gatemill db upgrade" in empty
        gatemill("keys", "create", "one", **extra)
        shown = gatemill("db", "status", **extra).out
        assert "keys" in shown
        assert "s3cret" not in shown
        found = msgspec.json.decode(gatemill("db", "status", "--json", **extra).out)
        assert found["schema"] == found["newest"] >= 2
        assert (found["rows"]["keys"], found["rows"]["usage"]) == (1, 0)


def test_a_server_that_is_away_is_explained_without_the_password(gatemill: Command) -> None:
    url = "postgresql://anna:s3cret@127.0.0.1:1/gatemill"
    result = gatemill("keys", "ls", GATEMILL_STORES__DATABASE=url)
    assert result.code == 1
    assert "postgresql://anna@127.0.0.1:1/gatemill cannot be used" in result.err
    assert "s3cret" not in result.err


def test_a_backup_comes_back_with_the_keys_of_its_pepper(gatemill: Command) -> None:
    gatemill("keys", "create", "one")
    before = listed(gatemill)
    result = gatemill("db", "backup", "kept.db")
    assert result.code == 0
    assert "whole and on the disk" in result.err
    assert "`pepper`" in result.err
    gatemill("keys", "create", "two")
    result = gatemill("db", "restore", "kept.db")
    assert result.code == 1
    assert "--force" in result.err
    result = gatemill("db", "restore", "kept.db", "--force")
    assert result.code == 0
    assert "The database that was there is data/gatemill.db.before-" in result.err
    assert listed(gatemill) == before
    for _ in range(3):  # within a second, too
        assert gatemill("db", "restore", "kept.db", "--force").code == 0
    assert len(list(Path("data").glob("gatemill.db.before-*"))) == 4
    result = gatemill("db", "restore", "kept.db", "--data-dir", "new")
    assert "copy the `pepper`" in result.err
    gatemill("keys", "create", "else", "--data-dir", "other")
    result = gatemill("db", "restore", "kept.db", "--force", "--data-dir", "other")
    assert result.code == 1
    assert "another pepper" in result.err


def test_a_backup_of_postgres_is_pg_dumps_business(
    gatemill: Command, postgres: dict[str, str]
) -> None:
    for words in (("backup", "kept.db"), ("restore", "kept.db")):
        result = gatemill("db", *words, **postgres)
        assert result.code == 1
        assert "pg_dump" in result.err

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from cli_run import Command, process


def test_the_secret_alone_goes_to_standard_output(tmp_path: Path) -> None:
    result = process("keys", "create", "ci", "--models", "gpt-*, echo", "--admin", cwd=tmp_path)
    assert result.code == 0
    assert re.fullmatch(r"gm-[0-9a-z]{10}-[0-9A-Za-z]{43}\n", result.out)
    assert result.err.startswith("ci: id ")
    assert "models gpt-*,echo, scopes admin. The secret is shown this once:" in result.err
    assert (tmp_path / "data/gatemill.db").is_file()


def test_a_key_lives_and_ends(gatemill: Command) -> None:
    secret = gatemill("keys", "create", "app", "--expires", "30d").out.strip()
    key_id = secret.split("-")[1]
    assert f"{key_id}  app   live, until " in gatemill("keys", "ls").out

    rotated = gatemill("keys", "rotate", key_id, "--grace", "90m")
    new_id = rotated.out.split("-")[1]
    assert new_id != key_id
    assert f"{key_id} works for 90m more." in rotated.err

    ended = gatemill("keys", "revoke", rotated.out.strip())
    assert ended.err == f"{new_id} (app) works no longer.\n"
    rows = msgspec.json.decode(gatemill("keys", "list", "--json").out)
    states = {row["id"]: row["state"] for row in rows}
    assert states[new_id] == "revoked"
    assert states[key_id].startswith("replaced, until ")
    assert secret not in gatemill("keys", "ls", "--json").out


def test_a_listing_in_a_pipe_is_not_cut(gatemill: Command) -> None:
    models = ",".join(f"a-model-with-a-long-name-{number}" for number in range(40))
    gatemill("keys", "create", "many", "--models", models)
    assert models in gatemill("keys", "ls").out


@pytest.mark.parametrize("text", ["30", "d", "-1d", "1.5h", "1y", ""])
def test_a_duration_that_is_none_is_explained(gatemill: Command, text: str) -> None:
    result = gatemill("keys", "create", "x", f"--expires={text}")
    assert result.code == 2
    assert "not a duration" in result.err
    assert "--expires 30d, 12h, 90m or 45s" in result.err


def test_what_the_ledger_refuses_is_explained(gatemill: Command) -> None:
    result = gatemill("keys", "create", " ")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("gatemill: Give the key a name")
    result = gatemill("keys", "create", "x", "--models", " , ")
    assert result.code == 1
    assert result.err.startswith("gatemill: Name 1 to ")


def test_the_folder_of_the_file_is_used(gatemill: Command, tmp_path: Path) -> None:
    (tmp_path / "g.toml").write_text('[server]\ndata_dir = "elsewhere"\n')
    gatemill("keys", "create", "x", "--config", "g.toml")
    assert (tmp_path / "elsewhere/gatemill.db").is_file()
    assert " x " in gatemill("keys", "ls", "--data-dir", "elsewhere").out
    assert gatemill("keys", "ls", "--data-dir", "nowhere").code == 1


def test_a_key_has_limits_and_an_owner(gatemill: Command) -> None:
    gatemill("teams", "create", "core")
    gatemill("users", "create", "ada", "--team", "core")
    options = ("--rpm", "60", "--rpd", "900", "--tpm", "5000", "--concurrency", "3")
    budgets = ("--budget", "50/month", "--budget", "20/total")
    secret = gatemill("keys", "create", "app", "--user", "ada", *options, *budgets).out.strip()
    expected = "60 rpm, 900 rpd, 5000 tpm, 3 at once, $50/month, $20/total"
    listed = gatemill("keys", "ls").out
    assert expected in listed
    assert "  ada  " in listed
    changed = gatemill("keys", "set", secret, "--rpm", "0", "--budget", "none/total", "--name", "b")
    assert changed.err.endswith("(b): 900 rpd, 5000 tpm, 3 at once, $50/month.\n")
    (row,) = msgspec.json.decode(gatemill("keys", "ls", "--json").out)
    assert (row["name"], row["user"], row["team"]) == ("b", "ada", "core")
    assert row["limits"]["budgets"]["month"]["usd"] == "50.000000"
    models = gatemill("keys", "set", row["id"], "--models", "gpt-*, echo", "--user", "")
    assert models.code == 0
    (row,) = msgspec.json.decode(gatemill("keys", "ls", "--json").out)
    assert (row["models"], row["user"], row["name"]) == (["gpt-*", "echo"], "", "b")


def test_a_limit_that_is_none_is_explained(gatemill: Command) -> None:
    refused = gatemill("keys", "create", "x", "--budget", "5/year")
    assert (refused.code, "is no budget" in refused.err) == (1, True)
    assert gatemill("keys", "create", "x", "--rpm", "-1").code == 2
    assert gatemill("keys", "set", "nobody0000", "--rpm", "1").code == 1

from __future__ import annotations

import msgspec

from cli_run import Command


def test_a_user_lives_and_ends(gatemill: Command) -> None:
    gatemill("teams", "create", "core")
    made = gatemill("users", "create", "ada", "--name", "Ada", "--team", "core", "--rpd", "9")
    assert made.err == "ada (Ada), team core: 9 rpd.\n"
    assert "ada  Ada   core  9 rpd" in gatemill("users", "ls").out
    changed = gatemill("users", "set", "ada", "--team", "", "--budget", "0.5/day")
    assert changed.err == "ada (Ada): 9 rpd, $0.50/day.\n"
    (row,) = msgspec.json.decode(gatemill("users", "ls", "--json").out)
    assert (row["id"], row["team"], row["limits"]["requests_per_day"]) == ("ada", "", 9)
    assert gatemill("users", "rm", "ada").err == "The user ada is gone.\n"
    assert gatemill("users", "rm", "ada").code == 1


def test_who_holds_a_key_stays(gatemill: Command) -> None:
    gatemill("users", "create", "ada")
    gatemill("keys", "create", "app", "--user", "ada")
    refused = gatemill("users", "rm", "ada")
    assert (refused.code, "holds 1 live keys" in refused.err) == (1, True)


def test_a_user_of_an_unknown_team_is_refused(gatemill: Command) -> None:
    refused = gatemill("users", "create", "ada", "--team", "nowhere")
    assert (refused.code, "There is no team" in refused.err) == (1, True)

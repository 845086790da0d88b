from __future__ import annotations

import msgspec

from cli_run import Command


def test_a_team_lives_and_ends(gatemill: Command) -> None:
    made = gatemill("teams", "create", "core", "--budget", "50/month", "--rpm", "600")
    assert (made.code, made.out) == (0, "")
    assert made.err == "core (core): 600 rpm, $50/month.\n"
    assert "core  core  600 rpm, $50/month" in gatemill("teams", "ls").out

    options = (
        "--name",
        "Core",
        "--budget",
        "80/month",
        "--soft",
        "--budget",
        "5/day",
        "--rpm",
        "0",
    )
    changed = gatemill("teams", "set", "core", *options)
    assert changed.err == "core (Core): $5/day (soft), $80/month (soft).\n"
    hard = gatemill(
        "teams", "set", "core", "--budget", "none/day", "--budget", "80/month", "--hard"
    )
    assert hard.err == "core (Core): $80/month.\n"
    (row,) = msgspec.json.decode(gatemill("teams", "ls", "--json").out)
    budget = {"usd": "80.000000", "hard": True, "alert_at": [0.8, 1.0]}
    limits = {"budgets": {"month": budget}}
    assert row == {"id": "core", "name": "Core", "limits": limits, "guards": {}}

    assert gatemill("teams", "rm", "core").err == "The team core is gone.\n"
    assert gatemill("teams", "rm", "core").code == 1


def test_a_change_of_the_name_leaves_the_limits(gatemill: Command) -> None:
    gatemill("teams", "create", "core", "--concurrency", "5", "--tpm", "9000", "--rpd", "7")
    assert "7 rpd, 9000 tpm, 5 at once" in gatemill("teams", "set", "core", "--name", "X").err


def test_a_mistake_is_explained(gatemill: Command) -> None:
    refused = gatemill("teams", "create", "Not an id")
    assert (refused.code, refused.err.startswith("gatemill: The id of a team has")) == (1, True)
    refused = gatemill("teams", "create", "core", "--budget", "50")
    assert refused.code == 1
    assert refused.err.startswith("gatemill: --budget 50: is no budget. Write dollars and a period")
    gatemill("teams", "create", "core")
    assert "already" in gatemill("teams", "create", "core").err
    assert "There is no team" in gatemill("teams", "set", "nobody", "--rpm", "1").err


def test_nothing_is_listed_before_anything_is_made(gatemill: Command) -> None:
    assert "there is no database" in gatemill("teams", "ls").err


def test_guards_of_a_team_and_a_key_are_named_listed_and_taken_away(gatemill: Command) -> None:
    made = gatemill("teams", "create", "core", "--guard", "input:pii=mask")
    assert made.err == "core (core): no limits; guards input:pii=mask.\n"
    (row,) = msgspec.json.decode(gatemill("teams", "ls", "--json").out)
    assert row["guards"] == {"input": [{"guard": "pii", "mode": "mask"}]}
    assert "input:pii=mask" in gatemill("teams", "ls").out
    assert gatemill("teams", "set", "core", "--guard", "none").err == "core (core): no limits.\n"
    assert gatemill("keys", "create", "k", "--guard", "output:secrets=block").code == 0
    (key,) = msgspec.json.decode(gatemill("keys", "ls", "--json").out)
    assert key["guards"] == {"output": [{"guard": "secrets", "mode": "block"}]}
    changed = gatemill("keys", "set", key["id"], "--guard", "input:size=9")
    assert changed.err.endswith("guards input:size=9.\n")


def test_a_guard_that_cannot_stand_is_refused_by_the_command(gatemill: Command) -> None:
    refused = gatemill("teams", "create", "core", "--guard", "input:pi=mask")
    assert refused.code == 1
    assert "there is no such guard" in refused.err

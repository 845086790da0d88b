from __future__ import annotations

import asyncio
import csv
import io
from pathlib import Path

import msgspec
import pytest

from cli_run import Command
from gatemill.core.clock import SystemClock
from gatemill.ledger.ledger import Ledger
from usage_rows import usage_row


@pytest.fixture
def used(tmp_path: Path) -> None:
    """Three attempts: two of a key that pays, one that failed."""

    async def fill() -> None:
        clock = SystemClock()
        ledger = Ledger.open(tmp_path / "data", None, clock)
        now_s = clock.unix_s()
        for number, (key, model, error) in enumerate(
            (("k1", "gpt", ""), ("k1", "gpt", ""), ("k2", "claude", "upstream_error"))
        ):
            ledger.record(
                usage_row(
                    number,
                    at=now_s - 60,
                    key_id=key,
                    model=model,
                    error=error,
                    status=502 if error else 200,
                    cost_microusd=250_000,
                )
            )
        await ledger.close()

    asyncio.run(fill())


@pytest.mark.usefixtures("used")
def test_usage_is_a_table(gatemill: Command) -> None:
    lines = gatemill("usage", "--by", "model,key").out.splitlines()
    assert lines[0].split() == [
        "MODEL",
        "KEY",
        "REQUESTS",
        "FAILED",
        "TOKENS",
        "IN",
        "TOKENS",
        "OUT",
        "COST",
        "$",
        "MEAN",
        "MS",
    ]
    assert lines[1].split()[:4] == ["gpt", "k1", "2", "0"]
    assert "0.500000" in lines[1]
    assert lines[2].split()[:4] == ["claude", "k2", "1", "1"]


def test_usage_by_key_names_the_keys_and_tells_two_of_one_name_apart(
    gatemill: Command, tmp_path: Path
) -> None:
    ids = [gatemill("keys", "create", "alice").err.split("id ")[1].split(",")[0] for _ in range(2)]

    async def fill() -> None:
        clock = SystemClock()
        ledger = Ledger.open(tmp_path / "data", None, clock)
        for number, key in enumerate(ids):
            ledger.record(usage_row(number, at=clock.unix_s() - 60, key_id=key))
        await ledger.close()

    asyncio.run(fill())
    lines = gatemill("usage", "--by", "key").out.splitlines()
    assert {line.split("  ")[0] for line in lines[1:]} == {f"alice ({key})" for key in ids}
    said = gatemill("usage", "--by", "key", "--csv").out
    assert {row["key_id"] for row in csv.DictReader(io.StringIO(said))} == set(ids)


@pytest.mark.usefixtures("used")
def test_usage_for_programs(gatemill: Command) -> None:
    found = msgspec.json.decode(gatemill("usage", "--by", "key", "--json").out)
    assert [(row["key_id"], row["cost_usd"]) for row in found] == [
        ("k1", "0.500000"),
        ("k2", "0.250000"),
    ]
    out = gatemill("usage", "--by", "key", "--csv").out
    assert [row["key_id"] for row in csv.DictReader(io.StringIO(out))] == ["k1", "k2"]


@pytest.mark.usefixtures("used")
def test_usage_is_filtered_and_bounded(gatemill: Command) -> None:
    (row,) = msgspec.json.decode(gatemill("usage", "--key", "k2", "--json").out)
    assert (row["model"], row["failed"]) == ("claude", 1)
    assert msgspec.json.decode(gatemill("usage", "--model", "other", "--json").out) == []
    span = ("--since", "2020-01-01", "--until", "2020-01-02")
    assert msgspec.json.decode(gatemill("usage", *span, "--json").out) == []


@pytest.mark.usefixtures("used")
def test_the_last_hours_at_a_glance(gatemill: Command) -> None:
    out = gatemill("usage", "summary", "--hours", "1").out
    assert "requests     3, 66.67% good; 3 attempts" in out
    assert "cost         $0.750000" in out
    assert "errors       upstream_error 1" in out
    said = msgspec.json.decode(gatemill("usage", "summary", "--json", "--key", "k1").out)
    assert (said["hours"], said["requests"], said["cost_usd"]) == (24, 2, "0.500000")


@pytest.mark.usefixtures("used")
def test_a_mistake_is_explained(gatemill: Command) -> None:
    refused = gatemill("usage", "--by", "colour")
    assert (refused.code, "Usage can be told by key" in refused.err) == (1, True)
    refused = gatemill("usage", "--since", "yesterday")
    assert (refused.code, "`--since`: 'yesterday' is no moment" in refused.err) == (1, True)

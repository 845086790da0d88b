"""`gatemill doctor`: what is wrong, the remedy, and the exit code."""

from __future__ import annotations

from pathlib import Path

import msgspec

from cli_run import Command

PORT = "[server]\nport = 0\n"


def test_a_good_machine_ends_with_0_and_a_bad_one_with_1(gatemill: Command, tmp_path: Path) -> None:
    (tmp_path / "gatemill.toml").write_text(PORT)
    result = gatemill("doctor")
    assert (result.code, result.err) == (0, "")
    assert "✓ gatemill " in result.out
    (tmp_path / "gatemill.toml").write_text(f'{PORT}[stores]\ncounters = "redis://127.0.0.1:9"\n')
    result = gatemill("doctor")
    assert result.code == 1
    (line,) = [line for line in result.out.splitlines() if line.startswith("✗")]
    assert line.startswith("✗ redis ")
    assert " → start it, correct stores.counters" in line
    told = msgspec.json.decode(gatemill("doctor", "--json").out)
    assert told["ok"] is False
    assert {"mark", "subject", "text", "fix", "latency_ms"} == told["findings"][0].keys()


def test_a_configuration_that_does_not_hold_ends_with_2(gatemill: Command, tmp_path: Path) -> None:
    (tmp_path / "gatemill.toml").write_text("[server]\nprot = 1\n")
    result = gatemill("doctor")
    assert result.code == 2
    assert result.out.startswith(
        '✗ config  gatemill.toml:2: server.prot: unknown key (did you mean "port"?)'
    )
    assert msgspec.json.decode(gatemill("doctor", "--json").out)["ok"] is False


def test_providers_are_asked_only_when_that_is_wanted(gatemill: Command, tmp_path: Path) -> None:
    (tmp_path / "gatemill.toml").write_text(
        f'{PORT}[providers.vllm]\nbase_url = "http://127.0.0.1:9/v1"\n'
    )
    assert "vllm" not in gatemill("doctor").out
    live = gatemill("doctor", "--live")
    assert live.code == 1
    assert "nothing listens there" in live.out


def test_what_consume_reads_and_where_traces_go_is_looked_at(
    gatemill: Command, tmp_path: Path
) -> None:
    (tmp_path / "gatemill.toml").write_text(f'{PORT}[telemetry]\nendpoint = "http://127.0.0.1:9"\n')
    given = gatemill("doctor", "--to", "kafka://127.0.0.1:9/answered")
    assert given.code == 1
    assert "! traces " in given.out
    assert " → start it, or correct telemetry.endpoint" in given.out
    assert " → start it, or correct --to" in given.out
    read = gatemill("doctor", GATEMILL_CONSUME_FROM="kafka://127.0.0.1:9/asked")
    assert " → start it, or correct --from" in read.out
    assert "--to" not in read.out

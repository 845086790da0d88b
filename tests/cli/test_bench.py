"""`gatemill bench` against a real server; what it measures is not judged, that it counts is."""

from __future__ import annotations

import asyncio
import re
import sys
from collections import Counter

import msgspec
import pytest

from cli_run import Command
from gatemill.cli import bench
from gatemill.cli.bench_load import Plan, Tally, _Ear, rounds
from gatemill.core.errors import UpstreamTimeout
from running import serve

CONFIG = """
[providers.nowhere]
kind = "openai"
base_url = "http://127.0.0.1:9/v1"
api_key = "any"
[models.echo]
targets = ["echo/echo"]
[models.paid]
targets = ["nowhere/paid"]
[models.odd]
targets = ["nowhere/odd"]
[prices."nowhere/paid"]
input = 1
output = 2
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory):
    with serve(tmp_path_factory.mktemp("benched"), CONFIG) as server:
        yield server


@pytest.fixture
def measure(gatemill: Command, known: dict[str, str]):
    return lambda *arguments: gatemill("bench", "-c", "2", "-d", "0.2s", *arguments, **known)


def test_complete_answers_and_streams_are_measured_and_shown(measure) -> None:
    said = measure("--stream")
    assert said.code == 0, said.err
    head, columns, row = said.out.splitlines()
    assert head == "echo, streams, 2 callers, 0.2 s"
    titles = ["REQUESTS", "PER S", "P50 MS", "P95 MS", "P99 MS", "FIRST TOKEN P50 MS", "ERRORS"]
    assert re.split(r" {2,}", columns.strip()) == titles
    name, count, per_s, *_, errors = row.split()
    assert (name, errors) == ("gateway", "0")
    assert int(count.replace(",", "")) >= 2  # each caller asks, on a machine that stands still too
    assert float(per_s.replace(",", "")) > 0
    assert " requests" in said.err


def test_a_provider_is_asked_in_turns_and_the_difference_is_told(measure, running, capsys) -> None:
    direct = ("--against", running.url, "--against-key", running.key, "--against-model", "echo")
    said = measure(*direct, "--json")
    found = msgspec.json.decode(said.out)
    assert found["rounds"] == 2
    assert found["cost_usd_each"] == 0
    for place in ("gateway", "direct"):
        assert found[place]["requests"] >= 4  # two callers in two rounds
        assert found[place]["errors"] == {}
        assert 0 < found[place]["p50_ms"] <= found[place]["p95_ms"] <= found[place]["p99_ms"]
    assert set(found["overhead"]) == {"p50_ms", "p95_ms", "p99_ms", "first_token_p50_ms"}
    assert found["overhead"]["first_token_p50_ms"] is None
    bench._show(found)
    assert re.search(r"^overhead +[+-]", capsys.readouterr().out, re.MULTILINE)


def test_what_costs_money_is_asked_for_first(measure) -> None:
    said = measure("-m", "paid")
    assert (said.code, said.out) == (2, "")
    assert "Each request costs about $0.0" in said.err
    assert "2 callers ask for 0.2 s" in said.err
    assert "fix: --yes" in said.err
    assert "costs an unknown amount" in measure("-m", "odd").err
    away = measure("--against", "https://provider.example/v1")
    assert (away.code, "this spends money" in away.err) == (2, True)


def test_somebody_at_a_terminal_may_say_no(measure, monkeypatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda *_, **__: False)
    said = measure("-m", "paid")
    assert (said.code, "nothing was sent" in said.err) == (1, True)


def test_errors_are_counted_by_code_and_fail_the_command(measure) -> None:
    said = measure("-m", "paid", "--yes")
    assert said.code == 1
    assert "gateway: " in said.out
    assert " x 502 upstream_" in said.out
    assert "no request was answered" in said.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("-m", "nobody"), 1, "the gateway would refuse it: The model `nobody` does not exist"),
        (("-d", "0s"), 2, "measures nothing"),
        (("-d", "soon"), 2, "not a duration"),
        (("--against", "nonsense", "--yes"), 2, "nonsense is not a URL"),
        (("--url", "http://127.0.0.1:9"), 1, "no gateway answers"),
    ],
)
def test_mistakes_are_explained(measure, arguments, code, words) -> None:
    said = measure(*arguments)
    assert (said.code, words in said.err) == (code, True), said.err


def test_places_take_turns_only_where_there_are_two() -> None:
    plan = Plan(1, 30.0, False, "", 1)
    assert (rounds(plan, 1), rounds(plan, 2), rounds(plan._replace(seconds=1.0), 2)) == (1, 10, 2)


async def test_a_stream_that_breaks_off_or_tells_of_an_error_is_no_answer() -> None:
    def ear(*pieces: bytes, error=None) -> _Ear:
        one = _Ear(asyncio.get_running_loop())
        for piece in pieces:
            one.feed(piece)
        one.close(error)
        return one

    role, word = b'data: {"delta": {"content": ""}}\n\n', b'data: {"delta": {"content": "a"}}\n\n'
    whole = ear(role, word, b"data: [DONE]\n\n: a comment\n\n")
    assert (await whole.whole, whole.first_s is not None) == ("", True)
    assert ear(role).first_s is None
    assert await ear(word).whole == "stream_cut_short"
    assert await ear(word, b'data: {"error": {}}\n\n').whole == "error_in_stream"
    assert await ear(word, error=UpstreamTimeout("late")).whole == UpstreamTimeout.code


def test_an_overhead_is_the_middle_of_the_differences_of_its_rounds() -> None:
    def tally(milliseconds: float) -> Tally:
        return Tally(1.0, [milliseconds / 1000], [], Counter())

    pairs = [[tally(10), tally(8)], [tally(30), tally(29)], [tally(500), tally(9)]]
    assert bench._overhead(pairs)["p50_ms"] == pytest.approx(2.0)
    assert bench._overhead([[tally(10), Tally()]])["p50_ms"] is None

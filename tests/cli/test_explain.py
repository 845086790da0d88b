from __future__ import annotations

import io
import sys

import msgspec
import pytest

from cli_run import Command
from gatemill.cli import alerts
from gatemill.cli.explain import _cell
from openapi_examples import fetch
from running import serve

BODY = {"model": "two", "messages": [{"role": "user", "content": "hello"}]}
CONFIG = """
[models.two]
targets = [{ provider = "echo", model = "echo", weight = 3 }, "echo/other"]
[limits.default]
requests_per_minute = 50
[models.seen]
targets = ["echo/seen"]
guards.input = [{ guard = "pii", mode = "log" }]
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory):
    with serve(tmp_path_factory.mktemp("explained"), CONFIG) as server:
        yield server


@pytest.fixture
def explain(gatemill: Command, known: dict[str, str], tmp_path):
    (tmp_path / "request.json").write_bytes(msgspec.json.encode(BODY))
    return lambda *arguments, **more: gatemill("explain", *arguments, **(known | more))


def test_a_request_is_explained(explain) -> None:
    said = explain("request.json")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0] == "outcome  200 from the provider"
    assert lines[1] == "request  chat, model two"
    assert any(line.startswith("target   echo/") and "(weight)" in line for line in lines)
    assert any(line.split() == ["echo/echo", "3", "-"] for line in lines)
    assert any({"requests_per_minute", "50"} <= {*line.split()} for line in lines)


def test_a_request_comes_from_standard_input(explain, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"model": "nobody", "prompt": "x"}'))
    out = explain("-").out
    assert "outcome  404 model_not_found: The model `nobody` does not exist" in out
    assert "request  completions, model nobody" in out


def test_what_guards_find_is_said_and_not_shown(explain, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"model": "seen", "prompt": "a@b.org c@d.org"}'))
    out = explain("-").out
    assert "guards   input pii email log (2 places)\n" in out
    assert "@" not in out


def test_the_operation_can_be_said(explain) -> None:
    said = msgspec.json.decode(explain("request.json", "--operation", "messages", "--json").out)
    assert (said["operation"], said["outcome"]["code"]) == (
        "messages",
        "missing_required_parameter",
    )


def test_a_past_request_is_explained(explain, running) -> None:
    headers = {"authorization": f"Bearer {running.key}", "content-type": "application/json"}
    answer = fetch(running.url + "/v1/chat/completions", headers, msgspec.json.encode(BODY))
    out = explain("--id", answer.headers["x-request-id"]).out
    assert out.startswith("outcome  200\n")
    assert any(line.split()[1:3] == ["200", "-"] for line in out.splitlines() if "echo/" in line)


def test_what_goes_wrong_is_explained(explain, running) -> None:
    assert explain().code == 2
    assert explain("request.json", "--id", "x").code == 2
    missing = explain("nothere.json")
    assert (missing.code, "cannot read nothere.json" in missing.err) == (1, True)
    unknown = explain("--id", "req_0")
    assert (unknown.code, "There is no request with this id" in unknown.err) == (1, True)
    wrong = explain("request.json", GATEMILL_API_KEY="gm-wrong")
    assert (wrong.code, "not known here" in wrong.err, "--key" in wrong.err) == (1, True, True)
    nobody = explain("request.json", GATEMILL_URL="http://127.0.0.1:9")
    assert (nobody.code, "no gateway answers" in nobody.err) == (1, True)
    odd = explain("request.json", "--url", "nonsense")
    assert (odd.code, "is not a URL" in odd.err) == (2, True)


def test_large_figures_are_written_out() -> None:
    assert [_cell(value) for value in (12_345.678, 812.5, 0.123456)] == ["12346", "812.5", "0.1235"]
    times = {"since": 0.0, "closed_at": None}
    said = {"name": "LedgerBehind", "subject": "", "state": "open", "severity": "critical"}
    _, rows = alerts._table([{**said, **times, "value": 12_345.0, "threshold": 5_000.0}], 60.0)
    assert rows[0][4] == "12345 of 5000"

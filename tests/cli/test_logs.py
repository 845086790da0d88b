"""The requests of a running gateway, a line each; of all its processes, also when one of them dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import redis_service
from cli_run import Command
from gatemill.cli.asking import asked
from gatemill.cli.failure import Failure
from gatemill.cli.stream import Gateway, Summary
from gatemill.cli.tailing import Tail
from running import Running, serve

WORKERS = 2


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[Running]:
    with redis_service.store() as url:
        folder = tmp_path_factory.mktemp("logs")
        text = f'[server]\nworkers = {WORKERS}\n[stores]\ncounters = "{url}"\n'
        with serve(folder, text) as running:
            yield running


def where(running: Running) -> tuple[str, str, Path]:
    return (running.url, running.key, Path("data"))


def ask(running: Running, model: str = "echo", times: int = 1) -> list[str]:
    """The ids of some requests, each on a connection of its own."""
    found = []
    for _ in range(times):
        summary = Summary()
        try:
            list(Gateway(running.url, running.key).chat(model, "hello", summary))
        except Failure:
            continue
        found.append(summary.request_id)
    return found


def test_the_lines_of_all_processes_are_shown(gatemill: Command, running: Running, known):
    ids = ask(running, times=12)
    ask(running, "nope")
    lines = gatemill("logs", "--limit", "100", "--json", **known).out.splitlines()
    shown = [msgspec.json.decode(line) for line in lines]
    assert {line["request_id"] for line in shown} >= set(ids)
    assert [line["ts"] for line in shown] == sorted(line["ts"] for line in shown)
    text = gatemill("logs", "--status", "4xx", **known).out
    assert len(text.splitlines()) == 1
    assert " 404 chat        nope " in text
    assert "model_not_found" in text
    assert "\x1b" not in text
    assert len(gatemill("logs", "--limit", "3", **known).out.splitlines()) == 3
    assert gatemill("logs", "--model", "none", **known).out == ""
    assert len(gatemill("logs", "--since", "1h", **known).out.splitlines()) >= 13
    assert gatemill("logs", "--limit", "0", **known).out == ""


def test_what_comes_is_followed_and_told_once(running: Running):
    tail = Tail(where(running), {})
    seen = tail.newest("", 2000)
    following = tail.follow(60)
    ids = ask(running, times=6)
    heard = [next(following)["request_id"] for _ in ids]
    assert sorted(heard) == sorted(ids)
    assert not {line["request_id"] for line in seen} & set(heard)
    assert tail.missed == 0
    # A process dies and another takes its place: what comes then is heard, too.
    (worker,) = [
        line["worker_pid"]
        for line in running.lines()
        if line["event"] == "worker_started" and line["worker"] == WORKERS
    ]
    os.kill(int(str(worker)), signal.SIGKILL)
    found: set[str] = set()
    wanted: set[str] = set()
    while not wanted or not wanted <= found:
        wanted |= set(ask(running, times=4))
        for line in following:
            found.add(line["request_id"])
            if wanted <= found:
                break
    tail.close()


def test_a_question_that_makes_no_sense_is_refused(gatemill: Command, known):
    for arguments, words in (
        (("--status", "often"), "`status`: send a status such as 429"),
        (("--since", "soon"), "`since`: 'soon' is no moment"),
    ):
        result = gatemill("logs", *arguments, **known)
        assert result.code in {1, 2}
        assert words in result.err
    with pytest.raises(Failure, match="send `next`"):
        asked(
            (known["GATEMILL_URL"], known["GATEMILL_API_KEY"], Path()),
            "GET",
            "/api/v1/logs?after=x",
        )


def test_a_place_of_another_process_begins_anew(running: Running):
    path = "/api/v1/logs?after=0123456789abcdef:5&limit=1"
    assert len(asked(where(running), "GET", path)["data"]) <= 1


def test_where_nobody_answers_that_is_said(gatemill: Command):
    result = gatemill("logs", "--url", "http://127.0.0.1:9")
    assert (result.code, result.err.splitlines()[0]) == (
        1,
        "gatemill: no gateway answers at http://127.0.0.1:9",
    )
    assert gatemill("logs", "--url", "nowhere").code == 2

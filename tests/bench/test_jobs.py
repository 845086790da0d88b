"""The benchmark of jobs: its load, its stage, its table, and one small real run."""

from __future__ import annotations

import asyncio

import pytest
from bench.failures import BenchStopped
from bench.jobs import ROWS, Result, main, render
from bench.jobs_load import Place
from bench.jobs_measures import Sizes, accept, high
from bench.jobs_stage import Stage, serving
from bench.machine import Cores, Machine

from bench import jobs, jobs_load

HERE = Machine("Some CPU", 2, 25_000_000_000, "Linux 6", "3.11.7")


class Answering:
    """An HTTP server that answers 202 to every second request, and 503 to the others."""

    def __init__(self, pause_s: float = 0.0) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._pause_s = pause_s
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Place:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        return Place("127.0.0.1", port, "secret")

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await asyncio.gather(*self._serving)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                if self._pause_s:
                    await asyncio.sleep(self._pause_s)
                status = b"202 Accepted" if len(self.requests) % 2 else b"503 Busy"
                writer.write(b"HTTP/1.1 %b\r\nContent-Length: 2\r\n\r\nok" % status)
        except asyncio.IncompleteReadError:
            writer.close()
            await writer.wait_closed()


async def test_every_answer_is_counted_and_those_of_another_status_as_failed():
    server = Answering()
    async with server as place:
        data = jobs_load.request(place, "POST", "/v1/jobs", b'{"kind": "x"}')
        load = await jobs_load.at_full_speed(place, [data] * 20, 4, 202)
    assert (len(server.requests), server.connections, load.failed) == (20, 4, 10)
    assert len(load.latencies_s) == 20
    assert load.latencies_s == sorted(load.latencies_s)
    assert b"authorization: Bearer secret\r\n" in server.requests[0]
    assert server.requests[0].endswith(b'\r\n\r\n{"kind": "x"}')


async def test_a_request_that_had_to_wait_is_timed_from_when_it_was_due():
    async with Answering(pause_s=0.2) as place:
        data = jobs_load.request(place, "GET", "/")
        load = await jobs_load.at_rate(place, data, per_s=50, seconds=0.1)
    assert len(load.latencies_s) == 5
    assert load.latencies_s[0] >= 0.2


async def test_a_server_that_hangs_up_stops_the_run():
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    place = Place("127.0.0.1", server.sockets[0].getsockname()[1], "")
    with pytest.raises(BenchStopped, match="did not answer"):
        await jobs_load.ask(place, jobs_load.request(place, "GET", "/"))
    server.close()


def test_the_table_names_its_command_its_machine_and_its_targets():
    figures = {
        "accept_single_per_s": {"sqlite": 1234.5, "postgres": 400.0},
        "wait_300_s": {"sqlite": 5.25},
    }
    text = render(Result("2026-11-21T03:00:00", "python -m bench.jobs", HERE, figures, ["A note."]))
    assert text.splitlines() == [
        "`python -m bench.jobs`, 2026-11-21, 2 cores of Some CPU, 25 GB, Linux 6, Python 3.11.7.",
        "",
        "| measure | SQLite | Postgres | target |",
        "| --- | ---: | ---: | ---: |",
        "| accepted one by one, 64 callers, jobs/s | 1,234 | 400 | ≥ 300 |",
        "| 300 jobs of five seconds in one process, s | 5.25 | - | < 8 |",
        "",
        "- A note.",
    ]


def test_only_measured_engines_have_a_column():
    text = render(Result("2026-11-21", "x", HERE, {"batch_s": {"sqlite": 9.0}}, []))
    assert "| measure | SQLite | target |" in text


def test_what_is_not_known_is_refused_with_code_2(tmp_path, capsys):
    assert main(["--measures", "accept,speed", "--out", str(tmp_path / "x")]) == 2
    assert "no measure speed; there are accept, wait, batch, high" in capsys.readouterr().err
    assert main(["--engines", "mysql", "--out", str(tmp_path / "x")]) == 2
    assert "no engine mysql; there are sqlite, postgres" in capsys.readouterr().err


def test_without_postgres_its_column_is_left_out(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(jobs, "MEASURES", {"accept": _nothing})
    monkeypatch.setattr(jobs, "_databases", lambda engine, url: None)
    assert (
        main(["--measures", "accept", "--engines", "postgres", "--out", str(tmp_path / "x")]) == 0
    )
    assert "Postgres is not here" in capsys.readouterr().out


async def test_a_small_run_gives_every_figure_of_its_measures(tmp_path):
    cores = Cores(gateway=(0,), load=(0,))
    stage = Stage(tmp_path, cores, jobs._file)
    sizes = Sizes(singles=20, lists=2, behind=200, highs=1)
    found = await accept(stage, sizes) | await high(stage, sizes)
    assert set(found) <= {row for row, *_ in ROWS}
    assert len(found) == 5
    assert all(value > 0 for value in found.values())
    assert found["high_max_ms"] < 30_000


def test_a_server_that_does_not_start_shows_its_words(tmp_path):
    stage = Stage(tmp_path, Cores(gateway=(0,), load=(0,)), jobs._file)
    with (
        pytest.raises(BenchStopped, match="nonsense"),
        serving(stage, "[nonsense]\n"),
    ):
        pytest.fail("it started")


async def _nothing(stage: Stage, sizes: Sizes) -> dict[str, float]:
    return {}

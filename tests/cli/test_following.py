"""The events of a job, from a server that says what the test wants."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gatemill.cli import exchange
from gatemill.cli.failure import Failure
from gatemill.cli.following import follow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatemill.cli.asking import Where

PATH = "/v1/jobs/job_1/events"
RUNNING = b'event: state\ndata: {"state": "running"}\n\n'
DONE = b'event: state\ndata: {"state": "succeeded"}\n\n'
AWAY_S = 20.0


def said(number: int) -> bytes:
    return b'id: %d\ndata: {"n": %d}\n\n' % (number, number)


@contextmanager
def answering(*answers: tuple[int, bytes]) -> Iterator[tuple[Where, list[str]]]:
    """Where to ask for these answers, one after the other; and the places that were asked for."""
    rest, places = iter(answers), []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            places.append(self.headers["last-event-id"])
            status, body = next(rest)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield (f"http://127.0.0.1:{server.server_port}", "key", Path()), places
        finally:
            server.shutdown()
            thread.join()


def test_a_stream_that_breaks_off_is_taken_up_where_it_was() -> None:
    first = RUNNING + said(1) + said(2)
    with answering((200, first), (503, b""), (200, said(3) + DONE)) as (where, places):
        found = list(follow(where, PATH, AWAY_S))
    assert places == ["0", "2", "2"]
    assert [each.number for each in found] == [0, 1, 2, 3, 0]
    assert found[-1].value == {"state": "succeeded"}


def test_what_is_no_event_of_a_job_is_left_out() -> None:
    odd = (
        b": a sign of life\n\n"
        b'data: {"error": {"message": "This server is shutting down."}}\n\n'
        b"id: 7\ndata: [DONE]\n\n"
        b'id: 8\nevent: response.created\ndata:{"type":"response.created"}\n\n'
        b'event: progress\ndata: {"current": 1}\n\n'
    )
    with answering((200, odd + DONE)) as (where, _):
        found = list(follow(where, PATH, AWAY_S))
    assert [(each.name, each.number) for each in found] == [("", 8), ("progress", 0), ("state", 0)]


@pytest.mark.parametrize("body", [b'{"error": {"message": "no such job"}}', b"<html>", b"[]"])
def test_a_refusal_ends_it(body: bytes) -> None:
    with (
        answering((404, body)) as (where, places),
        pytest.raises(Failure, match=r"no such job|answered 404"),
    ):
        list(follow(where, PATH, AWAY_S))
    assert len(places) == 1


def test_a_gateway_that_stays_away_is_given_up() -> None:
    nobody = ("http://127.0.0.1:9", "key", Path())
    with pytest.raises(Failure, match="no gateway answers") as error:
        list(follow(nobody, PATH, 0.0))
    assert error.value.fix == "start the gateway, then watch again"


def test_an_answer_that_breaks_off_is_a_failure() -> None:
    class Cut:
        def read(self, _: int) -> bytes:
            raise ConnectionResetError(104, "Connection reset by peer")

    with pytest.raises(Failure, match="the answer broke off"):
        exchange.read(Cut(), 10)

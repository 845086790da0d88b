"""What has been answered has been written down, also when the process is killed the moment after."""

from __future__ import annotations

import asyncio
import http.client
import json
import random
import sqlite3
import threading
from pathlib import Path

import pytest

from gatemill.core.clock import SystemClock
from gatemill.ledger.ledger import Ledger
from running import Running, serve

CLIENTS = 8


def _ask(connection: http.client.HTTPConnection, key: str, *, stream: bool) -> str:
    body = {"model": "echo", "stream": stream, "messages": [{"role": "user", "content": "hi"}]}
    connection.request(
        "POST",
        "/v1/chat/completions",
        json.dumps(body),
        {"authorization": f"Bearer {key}", "content-type": "application/json"},
    )
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200
    return answer.headers["x-request-id"]


def _hammer(running: Running, answered: list[str], stop: threading.Event) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
    try:
        while not stop.is_set():
            request_id = _ask(connection, running.key, stream=len(answered) % 2 == 0)
            answered.append(request_id)
    except (OSError, http.client.HTTPException):
        pass  # the kill came while a request was under way: nothing was promised
    finally:
        connection.close()


def _ids_in_ledger(data_dir: Path) -> list[str]:
    # Opening recovers what the dead process left in its journal.
    asyncio.run(Ledger.open(data_dir, None, SystemClock()).close())
    with sqlite3.connect(data_dir / "gatemill.db") as database:
        return [row[0] for row in database.execute("SELECT request_id FROM usage")]


@pytest.mark.parametrize("seed", range(3))
def test_every_answered_request_is_in_the_ledger_once_after_kill_9(tmp_path, seed):
    answered: list[str] = []
    stop = threading.Event()
    with serve(tmp_path) as running:
        clients = [
            threading.Thread(target=_hammer, args=(running, answered, stop)) for _ in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        stop.wait(random.Random(seed).uniform(0.2, 0.6))  # any instant under load will do
        running.process.kill()
        running.process.wait()
        stop.set()
        for client in clients:
            client.join()
    assert len(answered) > CLIENTS
    written = _ids_in_ledger(tmp_path / "data")
    assert len(written) == len(set(written))
    assert set(answered) <= set(written)

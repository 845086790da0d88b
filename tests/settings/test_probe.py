from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gatemill.settings import probe
from gatemill.settings.probe import Listed, listed


@contextmanager
def answering(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers one connection with these bytes."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                heard.append(connection.recv(65_536))
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v1", heard
        thread.join()


def response(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status.encode(), len(body), body)


def test_the_model_list_is_asked_for_and_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "ANSWER_TIMEOUT_S", 60.0)  # the machine may be busy
    body = b'{"object":"list","data":[{"id":"a","owned_by":"vllm","x":1},{"id":"b"}]}'
    with answering(response(body)) as (url, heard):
        assert listed(url) == [Listed("a", "vllm"), Listed("b")]
    assert heard[0].startswith(b"GET /v1/models HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        response(b"<html>"),
        response(b'{"data":3}'),
        response(b'{"data":[]}', "404 Not Found"),
        b"220 mail.example ESMTP\r\n",
        b"",
    ],
)
def test_whatever_else_answers_there_has_no_models(answer: bytes) -> None:
    with answering(answer) as (url, _):
        assert listed(url) == []


def test_a_closed_port_has_no_models() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert listed(f"http://127.0.0.1:{port}/v1") == []

"""Files to and from a gateway. Rule: piece by piece, so that their size does not matter."""

from __future__ import annotations

import os
import secrets
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from gatemill.cli import exchange
from gatemill.cli.asking import mistaken, refused
from gatemill.cli.bar import Bar
from gatemill.cli.counted import megabytes, passing
from gatemill.cli.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.client import HTTPResponse
    from pathlib import Path

    from gatemill.cli.asking import Where

_PIECE_BYTES = 1 << 18
_ANSWER_BYTES_MAX = 1 << 20
_LINE_BYTES_MAX = 16 << 20


def endpoint_of(path: Path) -> str:
    """The `url` of the first request in the file. Raises Failure."""
    with _opened(path) as file:
        line = next(
            (text for text in iter(lambda: file.readline(_LINE_BYTES_MAX), b"") if text.strip()),
            b"",
        )
    try:
        url = msgspec.json.decode(line)["url"]
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        fix = """a line is {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {…}}"""
        raise Failure(f"{path}: the first line names no url", fix=fix, code=2) from error
    return str(url)


def upload(where: Where, path: Path, purpose: str) -> dict[str, Any]:
    """The file is with the gateway; what it says of it. Raises Failure."""
    mark = secrets.token_hex(16)
    with _opened(path) as file, Bar() as bar:
        size = os.fstat(file.fileno()).st_size
        head, tail = _form(path.name, purpose, mark)
        headers = {
            "content-type": f"multipart/form-data; boundary={mark}",
            "content-length": str(len(head) + size + len(tail)),
        }
        body = passing(_pieces(head, file, tail), megabytes(bar, size, "MB sent"))
        with exchange.opened(where, ("POST", "/v1/files"), body, headers) as answer:
            said = _json(answer)
            if answer.status != 200:
                raise mistaken(answer.status, said)
    return said


def fetch(where: Where, file_id: str, path: Path) -> int:
    """The file is at `path`, whole or not at all; how many lines it has. Raises Failure."""
    unfinished = path.with_name(path.name + ".part")
    lines = 0
    try:
        with Bar() as bar, _content(where, file_id) as answer, unfinished.open("wb") as file:
            size = answer.length  # None where the answer does not say
            for piece in passing(_read(answer), megabytes(bar, size, "MB fetched")):
                lines += piece.count(b"\n")
                file.write(piece)
        unfinished.replace(path)
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}", fix="name another file") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return lines


def write_out(where: Where, file_id: str) -> None:
    """The file has gone to standard output. Raises Failure."""
    with _content(where, file_id) as answer:
        for piece in _read(answer):
            sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


@contextmanager
def _content(where: Where, file_id: str) -> Iterator[HTTPResponse]:
    path = f"/v1/files/{quote(file_id, safe='')}/content"
    with exchange.opened(where, ("GET", path), None, {}) as answer:
        if answer.status != 200:
            raise refused(answer.status, _json(answer))
        yield answer


def _read(answer: HTTPResponse) -> Iterator[bytes]:
    while piece := exchange.read(answer, _PIECE_BYTES):
        yield piece


def _json(answer: HTTPResponse) -> dict[str, Any]:
    try:
        said = msgspec.json.decode(exchange.read(answer, _ANSWER_BYTES_MAX))
    except msgspec.DecodeError:
        return {}
    return said if isinstance(said, dict) else {}


def _form(name: str, purpose: str, mark: str) -> tuple[bytes, bytes]:
    """What stands before and after the file."""
    shown = name.replace("\\", "_").replace('"', "_")
    head = (
        f'--{mark}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\n{purpose}\r\n'
        f'--{mark}\r\ncontent-disposition: form-data; name="file"; filename="{shown}"\r\n'
        "content-type: application/jsonl\r\n\r\n"
    )
    return head.encode(), f"\r\n--{mark}--\r\n".encode()


def _pieces(head: bytes, file: IO[bytes], tail: bytes) -> Iterator[bytes]:
    yield head
    yield from iter(lambda: file.read(_PIECE_BYTES), b"")
    yield tail


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise Failure(f"cannot read {path}: {error.strerror}", fix="name a file", code=2) from error
    with file:
        yield file

"""One HTTP exchange with a gateway, by the standard library alone. Rule: knows HTTP, prints nothing."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gatemill.cli.failure import Failure
from gatemill.cli.gateway_options import DEFAULT_URL
from gatemill.cli.key_file import dev_key
from gatemill.cli.terminal import environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gatemill.cli.asking import Where

SILENCE_S = 60.0  # between two pieces; a stream of events has a sign of life every 15 s


class Absent(Failure):
    """Nobody answers."""


def url_of(where: Where) -> str:
    """The gateway that is meant."""
    return where[0] or environment().get("GATEMILL_URL") or DEFAULT_URL


@contextmanager
def opened(
    where: Where,
    how: tuple[str, str],
    body: bytes | Iterable[bytes] | None,
    headers: Mapping[str, str],
) -> Iterator[HTTPResponse]:
    """The answer to a request, its body not read; `how` is method and path. Raises Failure."""
    url = url_of(where)
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Failure(f"{url} is not a URL", fix=f"--url {DEFAULT_URL}", code=2)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=SILENCE_S)
    key = where[1] or environment().get("GATEMILL_API_KEY") or dev_key(where[2])
    known = {"authorization": f"Bearer {key}"} if key else {}
    method, path = how
    path = parts.path.rstrip("/").removesuffix("/v1") + path
    try:
        try:
            answer = _answer(connection, (method, path), body, {**known, **headers})
        except (OSError, HTTPException) as error:
            fix = "gatemill serve, or name another gateway with --url"
            raise Absent(f"no gateway answers at {url}", fix=fix) from error
        with answer:
            yield answer
    finally:
        connection.close()


def read(answer: HTTPResponse, bytes_max: int) -> bytes:
    """The body, or so much of it. Raises Failure when it breaks off."""
    try:
        return answer.read(bytes_max)
    except (OSError, HTTPException) as error:
        raise Failure(f"the answer broke off: {error}", fix="try again") from error


def _answer(
    connection: HTTPConnection,
    how: tuple[str, str],
    body: bytes | Iterable[bytes] | None,
    headers: Mapping[str, str],
) -> HTTPResponse:
    connection.connect()
    with suppress(ConnectionError):  # refused before all was sent: the answer says why
        connection.request(*how, body, headers)
    return connection.getresponse()

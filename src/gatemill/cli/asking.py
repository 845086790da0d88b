"""One question to a running gateway. Rule: JSON in, JSON out; a refusal becomes a Failure in its words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from gatemill.cli.chat import DEFAULT_URL, dev_key
from gatemill.cli.failure import Failure
from gatemill.cli.terminal import environment

TIMEOUT_S = 60.0
ANSWER_BYTES_MAX = 16 << 20

UrlOption = Annotated[
    str | None, typer.Option(help=f"The gateway; by default {DEFAULT_URL}.", metavar="URL")
]
Where = tuple[str | None, str | None, Path]  # URL, key, folder of dev.key; as the options say

_FIXES = {
    401: "--key, or GATEMILL_API_KEY, or --data-dir of the gateway's dev.key",
    403: "--key with an admin key; gatemill keys create NAME --admin makes one",
}


def asked(where: Where, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
    """What the gateway answers. Raises Failure."""
    status, said = answered(where, method, path, body)
    if status == 200:
        return said
    raise refused(status, said)


def answered(
    where: Where, method: str, path: str, body: bytes | None = None
) -> tuple[int, dict[str, Any]]:
    """The status and the JSON of an answer. Raises Failure when nobody or somebody else answers."""
    environ = environment()
    url = where[0] or environ.get("GATEMILL_URL") or DEFAULT_URL
    key = where[1] or environ.get("GATEMILL_API_KEY") or dev_key(where[2])
    return _send(url, key, method, path, body)


def refused(status: int, said: dict[str, Any]) -> Failure:
    """The failure that an answer means."""
    error = said.get("error", {})
    words = said.get("detail") or (error.get("message") if isinstance(error, dict) else "")
    return Failure(str(words or f"the gateway answered {status}"), fix=_FIXES.get(status, ""))


def _send(
    url: str, key: str, method: str, path: str, body: bytes | None
) -> tuple[int, dict[str, Any]]:
    from http.client import HTTPConnection, HTTPException, HTTPSConnection

    import msgspec

    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Failure(f"{url} is not a URL", fix=f"--url {DEFAULT_URL}", code=2)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=TIMEOUT_S)
    headers = {"authorization": f"Bearer {key}"} if key else {}
    if body is not None:
        headers["content-type"] = "application/json"
    try:
        connection.request(method, parts.path.rstrip("/").removesuffix("/v1") + path, body, headers)
        with connection.getresponse() as answer:
            data = answer.read(ANSWER_BYTES_MAX)
    except (OSError, HTTPException) as error:
        fix = "gatemill serve, or name another gateway with --url"
        raise Failure(f"no gateway answers at {url}", fix=fix) from error
    finally:
        connection.close()
    try:
        said = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise Failure(f"{url} is no Gatemill", fix="check --url") from error
    return answer.status, said if isinstance(said, dict) else {}

"""One question to a running gateway. Rule: JSON in, JSON out; a refusal becomes a Failure in its words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from gatemill.cli.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping

ANSWER_BYTES_MAX = 32 << 20
_PAGE = 100  # entries of a list that are asked for at a time

Where = tuple[str | None, str | None, Path]  # URL, key, folder of dev.key; as the options say

_FIXES = {
    401: "--key, or GATEMILL_API_KEY, or --data-dir of the gateway's dev.key",
    403: "--key with another key; gatemill keys create NAME --scopes ... makes one, --admin one for all",
}


def asked(where: Where, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
    """What the gateway answers. Raises Failure."""
    status, said = answered(where, method, path, body)
    if 200 <= status < 300:
        return said
    raise refused(status, said)


def told(where: Where, method: str, path: str, value: object) -> dict[str, Any]:
    """The same, of a JSON value; what the gateway calls a mistake in it is one of the input."""
    return told_with(where, (method, path), value, {})


def told_with(
    where: Where, how: tuple[str, str], value: object, headers: Mapping[str, str]
) -> dict[str, Any]:
    """The same, with headers; `how` is method and path."""
    import msgspec

    status, said = answered(where, *how, msgspec.json.encode(value), headers)
    if 200 <= status < 300:
        return said
    raise mistaken(status, said)


def answered(
    where: Where,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, dict[str, Any]]:
    """The status and the JSON of an answer. Raises Failure when nobody or somebody else answers."""
    import msgspec

    from gatemill.cli import exchange

    known = {} if body is None else {"content-type": "application/json"}
    with exchange.opened(where, (method, path), body, {**known, **(headers or {})}) as answer:
        data = exchange.read(answer, ANSWER_BYTES_MAX)
    try:
        said = msgspec.json.decode(data) if data else {}
    except msgspec.DecodeError as error:
        raise Failure(f"{exchange.url_of(where)} is no Gatemill", fix="check --url") from error
    return answer.status, said if isinstance(said, dict) else {}


def pages(
    where: Where, path: str, asks: dict[str, str], limit: int, id_field: str = "id"
) -> list[dict[str, Any]]:
    """At most `limit` entries of a list, over as many pages as it takes. Raises Failure."""
    found: list[dict[str, Any]] = []
    query = {name: value for name, value in asks.items() if value}
    while len(found) < limit:
        query["limit"] = str(min(limit - len(found), _PAGE))
        page = asked(where, "GET", f"{path}?{urlencode(query)}")
        found += page["data"]
        if not page["has_more"]:
            break
        query["after"] = found[-1][id_field]
    return found


def refused(status: int, said: dict[str, Any]) -> Failure:
    """The failure that an answer means."""
    error = said.get("error", {})
    words = said.get("detail") or (error.get("message") if isinstance(error, dict) else "")
    fix = _FIXES.get(status, "")
    if status == 404 and str(words).startswith("There is no such path"):
        fix = "--url of the admin port, if this gateway has one (server.admin_port)"
    return Failure(str(words or f"the gateway answered {status}"), fix=fix)


def mistaken(status: int, said: dict[str, Any]) -> Failure:
    """The same, where what the gateway calls a mistake is one of the input."""
    failure = refused(status, said)
    failure.code = 2 if status in {400, 413, 422} else 1
    return failure

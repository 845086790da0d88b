"""/api/v1/logs: the newest access lines of this process, for whoever follows them.

Rule: nothing is kept for a follower but its number, which it brings along; a line that has made room for newer
ones before it was fetched is counted as missed. Several processes have their own lines: `instance` says whose.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.core.errors import InvalidValue
from gatemill.edge.admin.bodies import Asked
from gatemill.observe.access import RECENT_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gatemill.edge.admin.clerk import Clerk
    from gatemill.edge.application import Application
    from gatemill.observe.access import Access, AccessLog

_PLACE = re.compile(r"(\w{1,64}):(\d{1,15})", re.ASCII)
_STATUS = re.compile(r"[1-5](\d\d|xx)", re.ASCII)


def add(app: Application, clerk: Clerk) -> None:
    """The route."""
    instance = ""

    async def logs(request: Request) -> Response:
        nonlocal instance
        instance = instance or clerk.gateway.new_id(clerk.now_s).removeprefix("req_")
        asked = Asked(request, "after", "since", "limit", "status", "model", "key")
        access, limit = clerk.gateway.access, asked.whole("limit", 100, RECENT_MAX) or 100
        since_s = asked.moment_s("since", clerk.now_s, "0")
        fits, place = _filter(asked), _place(asked.text("after"), instance)
        access.flush()  # what ended a moment ago is told, too
        oldest = access.count - len(access.recent)
        found: list[dict[str, Any]] = []
        last = access.count
        for number, line in _after(access, place if place is not None else oldest):
            if line.ts < since_s or not fits(line):
                continue
            found.append(_shown(number, line))
            if place is not None and len(found) == limit:
                last = number
                break
        told = {
            "object": "list",
            "data": found[-limit:] if place is None else found,
            "next": f"{instance}:{last}",
            "instance": instance,
            "workers": clerk.workers,
            "missed": 0 if place is None else max(0, oldest - place),
        }
        return clerk.answer(told)

    app.add_api_route("/api/v1/logs", logs, methods=["GET"], **describe.route("logs"))


def _place(text: str, instance: str) -> int | None:
    """The number of the last line that is known; None for a newcomer, or one of another process."""
    if not text:
        return None
    match = _PLACE.fullmatch(text)
    if match is None:
        raise InvalidValue("`after`: send `next` of the answer before.", param="after")
    return int(match[2]) if match[1] == instance else None


def _filter(asked: Asked) -> Callable[[Access], bool]:
    status, model, key = asked.text("status"), asked.text("model"), asked.text("key")
    if status and not _STATUS.fullmatch(status):
        raise InvalidValue("`status`: send a status such as 429, or 5xx.", param="status")
    start = status.rstrip("x")

    def fits(line: Access) -> bool:
        return (
            str(line.status).startswith(start)
            and model in ("", line.model)
            and key in ("", line.key)
        )

    return fits


def _after(access: AccessLog, number: int) -> Iterator[tuple[int, Access]]:
    """Lines with a higher number, the oldest first."""
    oldest = access.count - len(access.recent)
    start = max(0, number - oldest)
    return enumerate(islice(access.recent, start, None), oldest + start + 1)


def _shown(number: int, line: Access) -> dict[str, Any]:
    fields = msgspec.structs.asdict(line)
    del fields["level"], fields["event"]
    return {"number": number, **fields, "guards": [list(one) for one in line.guards]}

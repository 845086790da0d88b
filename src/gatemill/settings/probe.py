"""One question to a server on this machine: which models do you have? Rule: short patience, no exception leaves."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

import msgspec

CONNECT_TIMEOUT_S = 0.2
ANSWER_TIMEOUT_S = 1.0
LIST_BYTES_MAX = 1 << 20


class Listed(msgspec.Struct):
    """One entry of a model list."""

    id: str
    owned_by: str = ""


class _List(msgspec.Struct):
    data: list[Listed]


def listed(base_url: str) -> list[Listed]:
    """The models that `base_url`/models lists; [] when nothing there answers in that form."""
    parts = urlsplit(base_url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=CONNECT_TIMEOUT_S)
    try:
        connection.connect()
        connection.sock.settimeout(ANSWER_TIMEOUT_S)
        connection.request("GET", f"{parts.path}/models", headers={"Accept": "application/json"})
        with connection.getresponse() as answer:
            body = answer.read(LIST_BYTES_MAX)
        return msgspec.json.decode(body, type=_List).data if answer.status == 200 else []
    except (OSError, HTTPException, ValueError):  # msgspec's errors are ValueErrors
        return []
    finally:
        connection.close()

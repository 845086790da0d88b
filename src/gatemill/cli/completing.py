"""What the shell offers after TAB. Rule: quick and quiet; a gateway that does not answer at once offers nothing."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

from gatemill.cli.gateway_options import DATA, DEFAULT_URL
from gatemill.cli.terminal import environment

_PATIENCE_S = 0.5
_ANSWER_BYTES_MAX = 1 << 20
_OFFERED_MAX = 200


def models(incomplete: str) -> list[str]:
    """Names of models of the running gateway that begin so, or that end a list so."""
    before, comma, start = incomplete.rpartition(",")
    found = [name for name in _listed() if name.startswith(start) and "*" not in name]
    return [f"{before}{comma}{name}" for name in found[:_OFFERED_MAX]]


def _listed() -> list[str]:
    from gatemill.cli.failure import Failure
    from gatemill.cli.key_file import dev_key

    environ = environment()
    parts = urlsplit(environ.get("GATEMILL_URL") or DEFAULT_URL)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    folder = Path(environ.get("GATEMILL_DATA_DIR") or DATA)
    try:
        key = environ.get("GATEMILL_API_KEY") or dev_key(folder)
        connection = kind(parts.hostname or "", parts.port, timeout=_PATIENCE_S)
        path = f"{parts.path.rstrip('/').removesuffix('/v1')}/v1/models"
        connection.request("GET", path, headers={"authorization": f"Bearer {key}"})
        with connection.getresponse() as answer:
            return _names(answer.read(_ANSWER_BYTES_MAX))
    except (Failure, OSError, HTTPException, ValueError):
        return []  # nothing is offered; the command itself will say what is wrong


def _names(body: bytes) -> list[str]:
    import json

    found = json.loads(body)
    listed = found.get("data") if isinstance(found, dict) else None
    return [one["id"] for one in listed or [] if isinstance(one, dict) and "id" in one]

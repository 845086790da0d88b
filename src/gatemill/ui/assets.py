"""Files that pages load: style sheet, scripts, icon. Rule: the address holds the content's digest, so browsers may keep it for ever."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import NamedTuple

PATH = "/ui/static"
FOR_EVER = "public, max-age=31536000, immutable"
_KINDS = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


class Asset(NamedTuple):
    """One file."""

    name: str
    digest: str
    content: bytes
    media_type: str


@cache
def known() -> dict[str, Asset]:
    """All of them by name; read once."""
    found: dict[str, Asset] = {}
    for entry in files("gatemill.ui").joinpath("static").iterdir():
        kind = _KINDS.get(entry.name.rpartition(".")[2])
        if kind is not None:
            content = entry.read_bytes()
            digest = sha256(content).hexdigest()[:12]
            found[entry.name] = Asset(entry.name, digest, content, kind)
    return found


def url(name: str) -> str:
    """Where a browser finds this file. Raises KeyError for one that is not there."""
    asset = known()[name]
    return f"{PATH}/{asset.digest}/{name}"

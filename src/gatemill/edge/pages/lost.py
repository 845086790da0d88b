"""/ui/…: an address that no page has. Rule: the last of all routes, for it takes every path below /ui."""

from __future__ import annotations

from gatemill.core.errors import NotFound
from gatemill.edge.pages.frame import Data, Page, Visit


async def _data(_visit: Visit, rest: str) -> Data:
    raise NotFound(f"There is no page /ui/{rest[:200]}. The navigation has all of them.")


PAGE = Page("/ui/{rest:rest}", "Not found", "failure.html", _data, hidden=True)

"""/ui/settings: every option in effect and where it came from. Rule: what was said stands before what was not."""

from __future__ import annotations

import asyncio

from gatemill import house
from gatemill.edge.pages.frame import Data, Page, Visit

_SHOWS = ("", "all", "changed")


async def _data(visit: Visit) -> Data:
    reloader, asked = visit.shown.reloader, visit.asked
    words, shows = asked.text("q").lower().split(), asked.word("show", *_SHOWS)
    found: list[Data] = []
    history: list[Data] = []
    if reloader is not None:
        loaded = reloader.draft.loaded
        every = house.effective(loaded)
        found = [one for one in every if _fits(one, words)]
        kept = await asyncio.to_thread(reloader.history.entries)
        history = [
            {"number": one.number, "version": one.version, "applied_at": one.unix_s} for one in kept
        ]
    return {
        "changed": [one for one in found if not one["is_default"]],
        "defaults": [] if shows == "changed" else [one for one in found if one["is_default"]],
        "file": str(reloader.source.file) if reloader is not None and loaded.path else None,
        "hints": list(loaded.hints) if reloader is not None else [],
        "version": visit.gateway.version,
        "is_refused": reloader is not None and reloader.refused,
        "history": history,
        "query": asked.text("q"),
        "shows": shows,
    }


def _fits(one: Data, words: list[str]) -> bool:
    text = f"{one['path']} {one['value']} {one['origin']} {one['about']}".lower()
    return all(word in text for word in words)


PAGE = Page("/ui/settings", "Settings", "settings.html", _data, ("q", "show"))

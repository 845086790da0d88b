"""/ui/audit: who changed what, who signed in, and who could not."""

from __future__ import annotations

from typing import Any

import msgspec

from gatemill.edge.pages.frame import Data, Page, Visit
from gatemill.ledger.audit import Wanted
from gatemill.wire.limits import short_usd

LIMIT = 100
_WORDS = ("actor", "action", "kind", "object_id")
_ID_MAX = 2**63 - 1
_NOW_TOO_S = 0.001  # an entry of this very moment is older than the end of the range


async def _data(visit: Visit) -> Data:
    asked = visit.asked
    said = {name: asked.text(name).strip() for name in (*_WORDS, "since", "until")}
    before = asked.whole("before", None, _ID_MAX) if asked.text("before") else None
    since_s = asked.moment_s("since", visit.now_s, "0") if said["since"] else 0.0
    wanted = Wanted(
        since_s=since_s,
        until_s=asked.moment_s("until", visit.now_s, "") + _NOW_TOO_S,
        **{word: said[word] for word in _WORDS},
    )
    found = await visit.ledger.people.audit_log(LIMIT + 1, before, wanted)
    shown = found[:LIMIT]
    return {
        "asked": said,
        "entries": [
            msgspec.structs.asdict(each)
            | {
                "by": _name(visit, each.actor),
                "words": _words(each.detail, is_new=each.action == "create"),
            }
            for each in shown
        ],
        "older": shown[-1].id if len(found) > LIMIT else None,
        "is_first": before is None,
    }


def _name(visit: Visit, actor: str) -> str:
    """What the key that did it is called; the actor itself where it is no key."""
    key = visit.ledger.keys.by_id(actor)
    return actor or "somebody unknown" if key is None else key.name


def _words(detail: dict[str, Any], *, is_new: bool) -> str:
    """A detail in one line: what something new was made with, or what was changed from what to what."""
    said = ((name, _text(value) if is_new else _changed(value)) for name, value in detail.items())
    return " \u00b7 ".join(f"{name.replace('_', ' ')} {text}" for name, text in said if text)


def _changed(value: Any) -> str:
    if isinstance(value, list | tuple) and len(value) == 2:
        before, after = map(_text, value)
        return f"{before or 'none'} \u2192 {after or 'none'}"
    return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        if "limit_microusd" in value:
            soft = "" if value.get("hard", True) else " (soft)"
            return f"${short_usd(value['limit_microusd'])}/{value.get('period')}{soft}"
        inner = {name.replace("_", " "): _text(each) for name, each in value.items()}
        return ", ".join(f"{name} {text}" for name, text in inner.items() if text)
    if isinstance(value, list | tuple):
        return ", ".join(filter(None, map(_text, value)))
    if isinstance(value, bool):
        return "yes" if value else ""
    return "" if value is None else str(value)


PAGE = Page("/ui/audit", "Audit log", "audit.html", _data, (*_WORDS, "since", "until", "before"))

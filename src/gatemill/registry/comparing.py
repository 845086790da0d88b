"""How two versions differ. Rule: pure; it may take a while for long texts, so it runs in a thread."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from gatemill.ledger.registry_rows import Version

LINES_MAX = 4_000  # of each text that are compared; the rest counts as one line
_FIELDS = ("source", "engine", "sha256", "options", "params", "metrics", "card")


def compared(old: Version, new: Version) -> dict[str, Any]:
    """`fields` that differ as [old, new], and `template` as the lines of a unified diff."""
    changed: dict[str, Any] = {
        name: [getattr(old, name), getattr(new, name)]
        for name in _FIELDS
        if getattr(old, name) != getattr(new, name)
    }
    before, after = _template(old), _template(new)
    for name in ("variables", "params"):
        if before.get(name) != after.get(name):
            changed[name] = [before.get(name), after.get(name)]
    lines = difflib.unified_diff(
        _lines(before),
        _lines(after),
        f"version {old.version}",
        f"version {new.version}",
        lineterm="",
    )
    return {"from": old.version, "to": new.version, "fields": changed, "template": list(lines)}


def _template(version: Version) -> dict[str, Any]:
    return msgspec.json.decode(version.template) if version.template else {}


def _lines(template: dict[str, Any]) -> list[str]:
    found = [
        f"{message['role']}: {line}"
        for message in template.get("messages", ())
        for line in message["content"].splitlines() or [""]
    ]
    return found if len(found) <= LINES_MAX else [*found[:LINES_MAX], "\n".join(found[LINES_MAX:])]

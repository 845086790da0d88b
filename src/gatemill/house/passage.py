"""The passage of the configuration file that says something. Rule: secrets are masked as in every log line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.observe.redaction import hide
from gatemill.settings import path_text
from gatemill.settings.lines import lines

if TYPE_CHECKING:
    from gatemill.core.ports import Json
    from gatemill.settings.errors import Path
    from gatemill.settings.source import Draft

ROWS_MAX = 100


def passage(draft: Draft, path: Path) -> Json | None:
    """Where a table was said ("gatemill.toml:7") and in which words; None where nobody said it.

    The words are "" for what came from elsewhere: the environment, or was found on this machine.
    """
    prefix = f"{path_text(path)}."
    origins = draft.loaded.origins
    origin = next((origins[name] for name in origins if name.startswith(prefix)), None)
    if origin is None:
        return None
    text = draft.text.decode()
    places = lines(text) if draft.loaded.path is not None else {}
    mine = sorted({at for place, at in places.items() if place[: len(path)] == path})
    if not mine:
        return {"origin": origin, "text": ""}
    begun = sorted({at for place, at in places.items() if place != path[: len(place)]} | set(mine))
    rows = text.splitlines()
    found: list[str] = []
    for at in mine:
        end = next((other for other in begun if other > at), len(rows) + 1)
        said = rows[at - 1 : end - 1]
        while said and (not said[-1].strip() or said[-1].lstrip().startswith("#")):
            said.pop()
        found += said
    shown = "\n".join(hide(row) for row in found[:ROWS_MAX])
    return {"origin": f"{draft.loaded.path}:{mine[0]}", "text": shown}

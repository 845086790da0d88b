"""The settings in effect as people are shown them. Rule: secrets are masked as everywhere."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from gatemill.settings import leaves, path_text
from gatemill.settings.difference import shown
from gatemill.settings.schema import type_at

if TYPE_CHECKING:
    from gatemill.core.ports import Json
    from gatemill.settings import Loaded
    from gatemill.settings.errors import Path

_SENTENCES_KEPT = 2_000  # by path; names of providers and models are in it
_UNSAID = ("default", "built in")


def effective(loaded: Loaded) -> list[Json]:
    """Every option in the order of the models: path, value, where the value came from, what it means."""
    found: list[Json] = []
    for path, value in leaves(loaded.settings):
        name = path_text(path)
        origin = loaded.origins[name]
        found.append(
            {
                "path": name,
                "value": _plain(shown(value)),
                "origin": origin,
                "is_default": origin in _UNSAID or _is_filled_in(path, value),
                "about": _sentence(path),
            }
        )
    return found


def _is_filled_in(path: Path, value: Any) -> bool:
    """It stands in an entry of a list, which has one origin, and is what such an entry has by default."""
    if not any(isinstance(part, int) for part in path):
        return False
    table = type_at(path[:-1])
    fields = table.model_fields if isinstance(table, type) and issubclass(table, BaseModel) else {}
    field = fields.get(str(path[-1]))
    return field is not None and not field.is_required() and bool(field.get_default() == value)


def _plain(value: Any) -> Any:
    """JSON: an empty table is one."""
    return value if value is None or isinstance(value, bool | int | float | list) else str(value)


@lru_cache(_SENTENCES_KEPT)
def _sentence(path: Path) -> str:
    """What the option means; of a list's entry, what the list means."""
    for count in range(len(path), 0, -1):
        table, name = type_at(path[: count - 1]), path[count - 1]
        if isinstance(table, type) and issubclass(table, BaseModel) and name in table.model_fields:
            return table.model_fields[str(name)].description or ""
    return ""

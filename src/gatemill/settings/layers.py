"""Values with their origins, one layer over another. Rule: what is above wins; tables merge, all else is replaced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatemill.settings.errors import Origin, Path


class Layer:
    """A tree of values, and for paths in it where they came from."""

    def __init__(
        self, tree: dict[str, Any] | None = None, origins: Mapping[Path, Origin] | None = None
    ) -> None:
        self.tree: dict[str, Any] = tree or {}  # written by put and merge
        self.origins: dict[Path, Origin] = dict(origins or {})  # written by put and merge

    def put(self, path: Path, value: Any, origin: Origin) -> bool:
        """Set the value at `path`, making the tables on the way. False when a value is in the way."""
        here: Any = self.tree
        for part in path[:-1]:
            here = here.setdefault(part, {})
            if not isinstance(here, dict):
                return False
        if isinstance(here.get(path[-1]), dict):
            return False
        here[path[-1]] = value
        self.origins[path] = origin
        return True

    def says(self, path: Path) -> bool:
        """Whether the value at `path` was given, be it in a short form."""
        here: Any = self.tree
        for part in path:
            if isinstance(here, dict):
                if part not in here:
                    return False
                here = here[part]
            elif isinstance(here, list) and isinstance(part, int):
                here = here[part]
        return True

    def origin(self, path: Path) -> Origin | None:
        """Where the value at `path` came from; the nearest table around it when it has no own."""
        while path:
            if path in self.origins:
                return self.origins[path]
            path = path[:-1]
        return None

    def merge(self, above: Layer) -> None:
        """Put another layer over this one."""
        _merge(self.tree, above.tree, (), self.origins)
        self.origins.update(above.origins)

    def complete(self, below: Layer) -> None:
        """Add what another layer has and this one has not, after what is there."""
        _complete(self.tree, below.tree)
        self.origins = below.origins | self.origins


def _complete(above: dict[str, Any], below: Mapping[str, Any]) -> None:
    for key, value in below.items():
        if isinstance(value, dict) and isinstance(above.get(key), dict):
            _complete(above[key], value)
        else:
            above.setdefault(key, _copied(value))


def table(tree: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The table of that name; {} when there is none or it is no table."""
    value = tree.get(name)
    return value if isinstance(value, dict) else {}


def _merge(
    below: dict[str, Any], above: Mapping[str, Any], path: Path, origins: dict[Path, Origin]
) -> None:
    for key, value in above.items():
        here = (*path, key)
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            _merge(below[key], value, here, origins)
            continue
        for known in [known for known in origins if known[: len(here)] == here]:
            del origins[known]
        below[key] = _copied(value)


def _copied(value: Any) -> Any:
    return (
        {key: _copied(child) for key, child in value.items()} if isinstance(value, dict) else value
    )

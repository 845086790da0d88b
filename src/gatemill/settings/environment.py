"""Overrides from the environment: GATEMILL_SERVER__PORT=9000. Rule: an unknown GATEMILL_ name is an error.

Two underscores part the levels. A value is read as TOML where the option is no text:
GATEMILL_SERVER__ALLOWED_HOSTS='["a", "b"]'.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from gatemill.settings.errors import ConfigError, Origin, Path
from gatemill.settings.layers import Layer
from gatemill.settings.references import meaning
from gatemill.settings.schema import keys_at, type_at

PREFIX = "GATEMILL_"
# Read elsewhere: by the search for the file, by `gatemill chat` and `gatemill consume`, by servers that a gateway starts
# (local/runtimes/command.py), and by the test suite.
OTHERS = frozenset(
    {
        "GATEMILL_CONFIG",
        "GATEMILL_API_KEY",
        "GATEMILL_URL",
        "GATEMILL_CONSUME_FROM",
        "GATEMILL_CONSUME_TO",
        "GATEMILL_TOKEN",
        "GATEMILL_REQUIRE_SERVICES",
        "GATEMILL_GOLDEN",
        "GATEMILL_TEST_HEAVY",
    }
)
_ALIASES = {"GATEMILL_DATA_DIR": ("server", "data_dir")}


def overrides(
    environ: Mapping[str, str], below: Mapping[str, Any], errors: list[ConfigError]
) -> Layer:
    """The layer that the environment puts over `below`; names of tables are matched with it."""
    layer = Layer()
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in OTHERS:
            continue
        origin = Origin(f"env {name}")
        path = _ALIASES.get(name) or _path(name, below)
        if path is None:
            errors.append(ConfigError(origin, "", "unknown setting" + _nearest(name)))
        elif not layer.put(path, meaning(path, environ[name]), origin):
            errors.append(ConfigError(origin, "", "contradicts another GATEMILL_ variable"))
    return layer


def _path(name: str, below: Mapping[str, Any]) -> Path | None:
    """The path a variable means; None when there is no such option."""
    path: Path = ()
    here: Any = below
    for word in name.removeprefix(PREFIX).split("__"):
        if not word:
            return None
        options = keys_at(path) or tuple(here if isinstance(here, Mapping) else ())
        fits = [key for key in options if _folded(str(key)) == _folded(word)]
        key = fits[0] if fits else word.lower()
        path = (*path, key)
        here = here.get(key, {}) if isinstance(here, Mapping) else {}
        if type_at(path) is None:
            return None
    return path


def _folded(word: str) -> str:
    return word.lower().replace("-", "_").replace(".", "_")


def _nearest(name: str) -> str:
    known = [*OTHERS, *_ALIASES, *_names((), PREFIX)]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    return f" (did you mean {near[0]}?)" if near else ""


def _names(path: Path, prefix: str) -> Iterable[str]:
    """Variables of all options outside tables with free names."""
    for key in keys_at(path):
        name = prefix + key.upper()
        yield name
        yield from _names((*path, key), f"{name}__")

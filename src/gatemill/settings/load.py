"""The effective settings: flags over environment over file over what was found over defaults.

Rule: everything wrong is reported at once, each with its place; nothing is half loaded.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path as File
from typing import Any

from pydantic import ValidationError

from gatemill.settings.checks import problems
from gatemill.settings.discover import Lister, access, discovered, own_port
from gatemill.settings.environment import overrides
from gatemill.settings.errors import ConfigError, ConfigErrors, Origin, Path, path_text
from gatemill.settings.layers import Layer, table
from gatemill.settings.leaves import leaves
from gatemill.settings.lines import lines
from gatemill.settings.model import Settings
from gatemill.settings.otel import found as found_by_otel
from gatemill.settings.probe import listed
from gatemill.settings.processes import apart, colliding
from gatemill.settings.references import resolved
from gatemill.settings.schema import takes_fraction
from gatemill.settings.vendors import vendors
from gatemill.settings.wording import worded

DEFAULT_FILE = File("gatemill.toml")
DEFAULT = Origin("default")
_PLAINER = {
    "Invalid initial character for a key part": "expected a key (a table in braces ends on its line)",
    "Invalid value": "expected a value; texts need quotes",
    "Expected '=' after a key in a key/value pair": "expected = after the key",
}
_AT_LINE = re.compile(r" \(at line (\d+), column \d+\)$")


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings that hold, and where each value came from."""

    settings: Settings
    origins: Mapping[str, str]  # by path, as in "providers.openai.api_key"
    hints: tuple[str, ...]  # what could be there: "claude-* - set ANTHROPIC_API_KEY"
    path: File | None  # the file; None when there is none


def load(
    config: File | None,
    environ: Mapping[str, str],
    flags: Mapping[str, Any],
    *,
    lister: Lister | None = listed,
) -> Loaded:
    """The effective settings. Raises ConfigErrors with everything that is wrong.

    `flags` has paths as keys ("server.port"); None is a flag that was not given. `lister` asks
    servers on this machine for their models; None leaves them alone.
    """
    errors: list[ConfigError] = []
    path = _found_file(config, environ)
    layer = Layer() if path is None else _file_layer(path, environ, errors)
    layer.merge(_environment_layer(environ, layer, errors))
    layer.merge(_flag_layer(flags))
    _imply_kinds(layer)
    found, hints = discovered(layer.tree, environ, lister)
    layer.complete(found)
    layer.complete(found_by_otel(environ))
    _fill_access(layer, environ)
    settings = _validated(layer, DEFAULT if path is None else Origin(str(path)), errors)
    origins = {path_text(leaf): _origin(layer, leaf) for leaf, _ in leaves(settings)}
    return Loaded(settings, origins, hints, path)


def _origin(layer: Layer, leaf: Path) -> str:
    origin = layer.origin(leaf) if layer.says(leaf) else None
    return (origin or DEFAULT).text


def _found_file(config: File | None, environ: Mapping[str, str]) -> File | None:
    if config is not None:
        return config
    if environ.get("GATEMILL_CONFIG"):
        return File(environ["GATEMILL_CONFIG"])
    return DEFAULT_FILE if DEFAULT_FILE.is_file() else None


def _file_layer(path: File, environ: Mapping[str, str], errors: list[ConfigError]) -> Layer:
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        raise _only(path, 0, "no such file; `gatemill init` writes one") from None
    except OSError as error:
        raise _only(path, 0, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise _only(path, line, "not UTF-8; save the file as UTF-8") from None
    try:
        tree = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise _syntax(path, text, str(error)) from None
    origins = {key: Origin(f"{path}:{line}", line) for key, line in lines(text).items()}
    layer = Layer(tree, origins)
    dangling: list[tuple[Path, str]] = []
    layer.tree = resolved(tree, environ, dangling)
    errors.extend(_located(layer, dangling, Origin(str(path))))
    return layer


def _syntax(path: File, text: str, message: str) -> ConfigErrors:
    match = _AT_LINE.search(message)
    line = int(match[1]) if match else text.count("\n") + 1
    message = _AT_LINE.sub("", message).removesuffix(" (at end of document)")
    row = text.splitlines()[line - 1].strip() if line <= len(text.splitlines()) else ""
    if message.startswith(("Cannot declare", "Cannot overwrite", "Cannot mutate", "Duplicate")):
        name = row.split("=")[0].strip(" []")
        return _only(path, line, f"{name}: defined twice; keep one of them")
    message = _PLAINER.get(message, message[:1].lower() + message[1:])
    return _only(path, line, f"not TOML: {message}")


def _only(path: File, line: int, message: str) -> ConfigErrors:
    return ConfigErrors(
        [ConfigError(Origin(f"{path}:{line}" if line else str(path), line), "", message)]
    )


def _environment_layer(
    environ: Mapping[str, str], below: Layer, errors: list[ConfigError]
) -> Layer:
    layer = overrides(environ, below.tree, errors)
    dangling: list[tuple[Path, str]] = []
    layer.tree = resolved(layer.tree, None, dangling)
    errors.extend(_located(layer, dangling, DEFAULT))
    return layer


def _flag_layer(flags: Mapping[str, Any]) -> Layer:
    layer = Layer()
    for name, value in flags.items():
        if value is not None:
            path = tuple(name.split("."))
            layer.put(path, value, Origin("flag --" + str(path[-1]).replace("_", "-")))
    return layer


def _imply_kinds(layer: Layer) -> None:
    """A provider named like a kind is of that kind, unless it says otherwise."""
    for name, provider in table(layer.tree, "providers").items():
        path: Path = ("providers", name)
        if isinstance(provider, dict) and "kind" not in provider and name in vendors():
            layer.put((*path, "kind"), name, layer.origin(path) or DEFAULT)


def _fill_access(layer: Layer, environ: Mapping[str, str]) -> None:
    """Give every provider the URL of its kind and the key from the kind's variable."""
    for name, provider in table(layer.tree, "providers").items():
        vendor = vendors().get(str(provider.get("kind"))) if isinstance(provider, dict) else None
        if vendor is None:
            continue
        found = access(vendor, environ, own_port(layer.tree))
        path: Path = ("providers", name)
        # A key goes to its vendor only, never to another URL that the file names.
        keyed = (
            found.key and not found.is_own and ("base_url" not in provider or not vendor.base_url)
        )
        if "base_url" not in provider and found.base_url and not found.is_own:
            layer.put(
                (*path, "base_url"), found.base_url, Origin(f"found {found.base_url_variable}")
            )
        elif "base_url" not in provider and vendor.base_url:
            layer.put((*path, "base_url"), vendor.base_url, Origin(f"kind {vendor.kind}"))
        if keyed and not {"api_key", "api_keys"} & set(provider):
            layer.put((*path, "api_key"), found.key, Origin(f"found {found.key_variable}"))


def _validated(layer: Layer, whole: Origin, errors: list[ConfigError]) -> Settings:
    settings = None
    try:
        settings = Settings.model_validate(_typed(layer.tree, ()))
    except ValidationError as error:
        errors.extend(_located(layer, worded(error), whole))
    errors.extend(_located(layer, problems(layer.tree), whole))
    errors.extend(_located(layer, apart(layer.tree), whole))
    errors.extend(_located(layer, colliding(layer.tree), whole))
    if errors or settings is None:
        raise ConfigErrors(errors)
    return settings


def _located(
    layer: Layer, found: Iterator[tuple[Path, str]] | list[tuple[Path, str]], whole: Origin
) -> Iterator[ConfigError]:
    for path, message in found:
        origin = layer.origin(path) or whole
        shown = "" if origin.text.startswith("env ") else path_text(path)
        yield ConfigError(origin, shown, message)


def _typed(value: Any, path: Path) -> Any:
    """TOML's values as the models want them: lists as tuples, decimals as floats except for money."""
    if isinstance(value, dict):
        return {key: _typed(child, (*path, key)) for key, child in value.items()}
    if isinstance(value, list):
        return tuple(_typed(child, (*path, index)) for index, child in enumerate(value))
    if isinstance(value, Decimal) and takes_fraction(path):
        return float(value)
    return value

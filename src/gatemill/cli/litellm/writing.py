"""The draft as gatemill.toml. Rule: what is written can be read back as it was meant."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatemill.cli.litellm.draft import Draft

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ORDER = ("server", "limits", "stores", "retries", "breaker", "cache")


def written(draft: Draft, source: str) -> str:
    """The file."""
    return "\n".join(_lines(draft, source)) + "\n"


def _lines(draft: Draft, source: str) -> Iterator[str]:
    yield f"# Made from {source} by `gatemill config import`. Is it good: gatemill check --live"
    yield "# All options: docs/settings.md"
    for name in _ORDER:
        if draft.sections.get(name):
            yield from _table([name], draft.sections[name])
    for name, provider in draft.providers.items():
        yield from _table(["providers", name], provider)
    for name, model in draft.models.items():
        yield from _table(["models", name], model)
    for name, rates in draft.prices.items():
        yield from _table(["prices", name], rates)
    if draft.remarks:
        yield ""
        yield "# Not carried over (✗), or not quite the same as before (!):"
    for remark in draft.remarks:
        yield "# " + "".join(sign if sign.isprintable() else "?" for sign in str(remark))


def _table(path: list[str], table: dict[str, Any]) -> Iterator[str]:
    yield ""
    yield f"[{'.'.join(map(_key, path))}]"
    for name, value in table.items():
        if name == "targets":
            yield "targets = ["
            yield from (f"    {_target(target)}," for target in value)
            yield "]"
        else:
            yield f"{_key(name)} = {_value(value)}"


def _target(target: dict[str, Any]) -> str:
    if target.keys() == {"provider", "model"}:
        return _value(f"{target['provider']}/{target['model']}")
    return _value(target)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{_key(name)} = {_value(each)}" for name, each in value.items())
        return f"{{ {inner} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")

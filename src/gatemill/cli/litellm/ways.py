"""Fallbacks and aliases: what leads from one name to another. Rule: it never leads in a circle."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from gatemill.cli.litellm.draft import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatemill.cli.litellm.draft import Draft
    from gatemill.cli.litellm.reading import Value

_SECTIONS = ("litellm_settings", "router_settings")


def carry(draft: Draft, tree: Value) -> None:
    """All of them are in the draft, or it says why not."""
    for section in _SECTIONS:
        for option in ("model_group_alias", "model_alias_map"):
            value = tree.entries().get(section, tree).entries().get(option)
            for alias, meant in (value.entries() if value else {}).items():
                _alias(draft, alias, meant)
    for option in ("fallbacks", "context_window_fallbacks"):
        for value in _said(tree, option):
            for name, others in _pairs(draft, value):
                _fallbacks(draft, name, others)
            if option != "fallbacks" and draft.models:
                draft.otherwise(
                    value,
                    "are asked after any failure; context_tokens of a target sends long requests on",
                )
    for value in _said(tree, "default_fallbacks"):
        for name in [name for name in draft.models if "*" not in name]:
            _fallbacks(draft, name, value, quiet=True)


def _said(tree: Value, option: str) -> Iterator[Value]:
    """Of both sections; the router's counts where both have it."""
    found = [tree.entries().get(section, tree).entries().get(option) for section in _SECTIONS]
    said = [value for value in found if value is not None and value.said]
    yield from said[-1:]


def _pairs(draft: Draft, value: Value) -> Iterator[tuple[str, Value]]:
    for each in value.items() or [value]:
        if not each.entries():
            draft.left(each, "expected NAME: [OTHER, …]")
        yield from each.entries().items()


def _alias(draft: Draft, alias: str, meant: Value) -> None:
    other = text_of(meant.entries().get("model")) if meant.entries() else text_of(meant)
    model = draft.models.get(other)
    if model is None:
        draft.left(meant, f"no model is named {other or '?'}")
    elif alias in draft.models:
        draft.left(meant, f"there is a model {alias} already, and it counts")
    elif ("*" in other) != ("*" in alias) or alias == "cache" or len(alias.split()) != 1:
        draft.left(meant, "a pattern and a name cannot stand for each other")
    else:
        draft.models[alias] = deepcopy(model)


def _fallbacks(draft: Draft, name: str, others: Value, *, quiet: bool = False) -> None:
    names = [*draft.models] if name == "*" else [name]
    for each in names:
        if each not in draft.models:
            if not quiet:
                draft.left(others, f"no model is named {each}")
            continue
        for value in others.items() or [others]:
            other = text_of(value)
            refusal = "" if other == each else _refusal(draft.models, each, other)
            if other != each and not refusal:
                draft.models[each].setdefault("fallbacks", []).append(other)
            elif refusal and not quiet:
                draft.left(value, refusal)


def _refusal(models: dict[str, dict[str, Any]], name: str, other: str) -> str:
    """Why this fallback cannot be; "" where it can, or is there already."""
    if other not in models:
        return f"no model is named {other or '?'}; a fallback is a name of model_list"
    if "*" in other:
        return f"a fallback is one model, and {other} is a pattern"
    if other in models[name].get("fallbacks", []):
        return "stands here twice"
    if _leads(models, other, name):
        return f"{other} leads to {name} already; fallbacks cannot go in a circle"
    return ""


def _leads(models: dict[str, dict[str, Any]], start: str, end: str) -> bool:
    waiting, seen = [start], {start}
    while waiting:
        for other in models[waiting.pop()].get("fallbacks", []):
            if other == end:
                return True
            if other not in seen:
                seen.add(other)
                waiting.append(other)
    return False

"""Checks of [models]: what leads from one to another, and what must stand together.

Rule: works on the raw tree and tolerates wrong types, so that one mistake does not hide another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gatemill.settings.errors import Path, meant
from gatemill.settings.layers import table

CACHE = "cache"  # among fallbacks: an answer that is no longer fresh
_ARM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_WAYS = ("targets", "experiment", "complexity", "by_feature")

Problem = tuple[Path, str]


def model_problems(tree: Mapping[str, Any]) -> Iterator[Problem]:
    """(path, message) of everything in [models] that single values cannot show."""
    models = table(tree, "models")
    keeps = table(tree, CACHE)
    yield from _similar((CACHE,), keeps, models)
    for name, model in models.items():
        path: Path = ("models", name)
        if name == CACHE:
            yield path, "this name is taken: among fallbacks it stands for the cache"
        if isinstance(model, dict):
            yield from _one_way(path, model)
            yield from _counted(path, name, model)
            yield from _arms(path, table(model, "experiment"))
            yield from _leads(path, model, models)
            yield from _fallbacks(path, model, models)
            yield from _stale(path, model, keeps)
            yield from _similar((*path, CACHE), table(model, CACHE), models)
    yield from _circles(models)


def _one_way(path: Path, model: Mapping[str, Any]) -> Iterator[Problem]:
    """Exactly one of them says where requests go."""
    said = [way for way in _WAYS if model.get(way) not in (None, [])]
    if not said and model.get("targets") == []:
        yield (*path, "targets"), "must not be empty"
    elif not said:
        yield (
            path,
            'leads nowhere; add targets = ["provider/model"], an experiment, a complexity or by_feature',
        )
    elif len(said) > 1:
        others = " and ".join([", ".join(said[:-2]), said[-2]] if said[2:] else said[:-1])
        yield (
            (*path, said[-1]),
            f"has {others} beside it: keep one of them, and give the rest a name of its own",
        )


def _counted(path: Path, name: str, model: Mapping[str, Any]) -> Iterator[Problem]:
    """A budget belongs to a name that requests ask for, because the ledger adds up by that name."""
    if "*" in name and table(table(model, "limits"), "budgets"):
        where = (*path, "limits", "budgets")
        yield where, "a pattern has no budget of its own; give it to a name without *, or to keys"


def _arms(path: Path, experiment: Mapping[str, Any]) -> Iterator[Problem]:
    for name in table(experiment, "arms"):
        if not _ARM_NAME.fullmatch(name):
            where = (*path, "experiment", "arms", name)
            yield where, "an arm's name has letters, digits, - _ . only: it stands in a header"


def _leads(path: Path, model: Mapping[str, Any], models: Mapping[str, Any]) -> Iterator[Problem]:
    for where, other in _ways(model):
        if where[0] != "fallbacks":
            yield from _exists((*path, *where), other, models, "a name to lead to")


def _fallbacks(
    path: Path, model: Mapping[str, Any], models: Mapping[str, Any]
) -> Iterator[Problem]:
    for index, other in _texts(model.get("fallbacks")):
        if other != CACHE:
            yield from _exists((*path, "fallbacks", index), other, models, "a fallback")


def _exists(where: Path, other: str, models: Mapping[str, Any], what: str) -> Iterator[Problem]:
    if "*" in other:
        yield where, f'{what} is one model, and "{other}" is a pattern'
    elif other not in models:
        add = f'; add [models."{other}"]' if "/" in other else ""
        yield where, f'no model is named "{other}"{meant(other, models) or add}'


def _stale(path: Path, model: Mapping[str, Any], keeps: Mapping[str, Any]) -> Iterator[Problem]:
    """`cache` stands last, and there is a cache that keeps answers beyond their time."""
    listed = model.get("fallbacks")
    for index, other in _texts(listed):
        if other != CACHE:
            continue
        where = (*path, "fallbacks", index)
        assert isinstance(listed, Sequence), "it held a text"
        if index != len(listed) - 1:
            yield where, "the cache is the last fallback; move it to the end"
        own = model.get(CACHE)
        for option in ("ttl_s", "stale_s"):
            if not _is_positive((keeps if own is None else own), option):
                place = "[cache]" if own is None else "this model's cache"
                yield where, f"nothing stale is kept; set {option} of {place}"
                break


def _similar(path: Path, cache: Mapping[str, Any], models: Mapping[str, Any]) -> Iterator[Problem]:
    other = cache.get("similar_model")
    if isinstance(other, str):
        yield from _exists((*path, "similar_model"), other, models, "an embedding model")


def _circles(models: Mapping[str, Any]) -> Iterator[Problem]:
    """Each circle once, at the name that closes it."""
    done: set[str] = set()
    for start in models:
        # Depth first without recursion: a chain may be longer than Python's stack.
        trail = [] if start in done else [start]
        pending = [_ways(table(models, name)) for name in trail]
        while pending:
            where, other = next(pending[-1], ((), ""))
            if not where:
                done.add(trail.pop())
                pending.pop()
            elif other in trail:
                way = " -> ".join([*trail[trail.index(other) :], other])
                what = "fallbacks go" if where[0] == "fallbacks" else "models lead"
                yield ("models", trail[-1], *where), f"{what} in a circle: {way}"
            elif other in models and other not in done:
                trail.append(other)
                pending.append(_ways(table(models, other)))


def _ways(model: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Every name that a model leads to, and where it says so."""
    found: list[tuple[Path, Any]] = [
        (("fallbacks", index), other) for index, other in _texts(model.get("fallbacks"))
    ]
    arms = table(table(model, "experiment"), "arms")
    found += [(("experiment", "arms", arm, "model"), table(arms, arm).get("model")) for arm in arms]
    found += [
        (("complexity", side), table(model, "complexity").get(side)) for side in ("simple", "hard")
    ]
    by_feature = table(model, "by_feature")
    of_values = table(by_feature, "models")
    found += [(("by_feature", "models", value), of_values[value]) for value in of_values]
    found.append((("by_feature", "default"), by_feature.get("default")))
    found.append((("shadow", "model"), table(model, "shadow").get("model")))
    for where, other in found:
        if isinstance(other, str) and other != CACHE:
            yield where, other


def _texts(value: Any) -> Iterator[tuple[int, str]]:
    for index, item in enumerate(value if isinstance(value, list) else []):
        if isinstance(item, str):
            yield index, item


def _is_positive(values: Any, name: str) -> bool:
    value = values.get(name) if isinstance(values, dict) else None
    try:
        return value is not None and value > 0
    except TypeError:
        return True  # of a wrong type, which is said elsewhere

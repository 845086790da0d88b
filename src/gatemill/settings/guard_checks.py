"""Checks of the guards: that each can stand as it is asked for.

Rule: works on the raw tree and tolerates wrong types, so that one mistake does not hide another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gatemill.core.errors import GatemillError
from gatemill.core.guard import MODES
from gatemill.gateway.guards import Known, check
from gatemill.gateway.local_guards import known_of
from gatemill.settings.errors import Path
from gatemill.settings.guards import GUARDS
from gatemill.settings.layers import table
from gatemill.wire import guard_uses, webhook

Problem = tuple[Path, str]

_SECTION = "guards"
_SIDES = ("input", "output")
_BYTES_MAX = 256  # as [guards] has it, where it says nothing


def guard_problems(tree: Mapping[str, Any]) -> Iterator[Problem]:
    """(path, message) of everything about guards that single values cannot show."""
    said = table(tree, _SECTION)
    own = {name: text for name, text in table(said, "patterns").items() if isinstance(text, str)}
    known = known_of(own, _BYTES_MAX, table(said, "hooks"))
    yield from _patterns(own)
    yield from _hooks(table(said, "hooks"))
    yield from _uses((_SECTION,), said, known)
    models = table(tree, "models")
    for name in models:
        path = ("models", name, _SECTION)
        yield from _uses(path, table(table(models, name), _SECTION), known)


def _patterns(own: Mapping[str, str]) -> Iterator[Problem]:
    for name, text in own.items():
        try:
            known_of({name: text}, _BYTES_MAX, ()).local["pii"].patterns((name,))
        except GatemillError as error:
            yield (_SECTION, "patterns", name), _short(error)


def _hooks(hooks: Mapping[str, Any]) -> Iterator[Problem]:
    for name in hooks:
        secret = table(hooks, name).get("secret")
        if isinstance(secret, str) and not secret.startswith("${"):  # a variable that is not set
            try:
                webhook.key_of(secret)
            except GatemillError as error:
                yield (_SECTION, "hooks", name, "secret"), error.message


def _uses(path: Path, said: Mapping[str, Any], known: Known) -> Iterator[Problem]:
    for side in _SIDES:
        listed = said.get(side)
        for index, one in enumerate(listed if isinstance(listed, (list, tuple)) else ()):
            yield from _use((*path, side, index), side, one, known)
        yield from _twice((*path, side), listed)


def _use(path: Path, side: str, said: Any, known: Known) -> Iterator[Problem]:
    try:
        uses = guard_uses.read({side: [said]})
    except GatemillError:
        return  # of a wrong type or name, which is said elsewhere
    (use,) = uses.input or uses.output
    if use.guard not in GUARDS or use.mode not in MODES:
        return  # the same
    try:
        check(uses, known)
    except GatemillError as error:
        _, _, _, *field = (error.param or "").split(".")
        yield (*path, *field[:1]), _short(error)


def _twice(path: Path, listed: Any) -> Iterator[Problem]:
    seen: set[tuple[Any, Any]] = set()
    for index, one in enumerate(listed if isinstance(listed, (list, tuple)) else ()):
        name = (one.get("guard"), one.get("hook")) if isinstance(one, dict) else (None, None)
        if isinstance(name[0], str) and name in seen:
            yield (*path, index, "guard"), f"{name[0]} stands here twice; keep one of them"
        seen.add(name)


def _short(error: GatemillError) -> str:
    """The message without the path, which stands before it."""
    return error.message.partition(": ")[2].rstrip(".") or error.message

"""Every kind of job, by its name.

Rule: what does not fit is refused at start with all that is missing, never when a job runs. A kind is
a module; nobody keeps a list of them.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import pkgutil
import re
import sys
import zlib
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from gatemill.core.errors import InvalidValue, StartRefused
from gatemill.core.job import PRIORITIES
from gatemill.core.scopes import ALL as SCOPES
from gatemill.jobs import kinds as builtin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gatemill.jobs.context import Context

GROUP = "gatemill.job_kinds"  # of entry points that name modules
ATTEMPTS_MOST = 100
_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,62}")
_SHOWN_CHARS = 60  # of an unknown name


class Kind(Protocol):
    """What a module must have to be a kind of job.

    It may also have `check(args, key, gateway)`, which raises GatemillError for arguments that are to
    be refused when the job is handed in; `PRIORITY`, `ATTEMPTS_MAX` and `TIMEOUT_S` (of one attempt),
    which say more than the options; `DELAYS_S`, pauses between attempts instead of growing ones;
    `HIDDEN = True`, when callers may not submit it; and `MASKED = True`, when every text in its
    arguments is for models alone, so that they are kept as guards with the mode `mask` leave them.
    """

    NAME: str
    """Lower-case letters, digits and `_.-`."""
    QUEUE: str
    """The lane of its jobs, made up like a name; `high`, `default` and `low` are priorities."""
    Args: Any
    """The type of its arguments, which msgspec can read from JSON: a Struct, a dataclass, a dict ..."""

    async def run(self, ctx: Context, args: Any) -> Any:
        """The result, which msgspec can write as JSON."""
        ...


class Kinds:
    """The kinds that this process knows."""

    def __init__(self, modules: Sequence[tuple[str, Any]]) -> None:
        """`modules` come with where they are from. Raises StartRefused."""
        found: dict[str, Any] = {}
        origin: dict[str, str] = {}
        for source, module in modules:
            wrong = _faults(module) if isinstance(module, ModuleType) else tuple(_wrong(module))
            if wrong:
                raise StartRefused(f"The job kind {source} does not fit: {'; '.join(wrong)}.")
            name = module.NAME
            if found.get(name, module) is not module:
                raise StartRefused(
                    f'Two job kinds are called "{name}": {origin[name]} and {source}. Rename one.'
                )
            found[name], origin[name] = module, source
        self._kinds = found
        self.names = tuple(sorted(found))

    @classmethod
    def load(cls, extra: Sequence[str] = ()) -> Kinds:
        """Our own kinds, those that installed packages offer, and `extra`.

        Each of `extra` is the name of a module or, ending in `.py`, the path of a file. Raises
        StartRefused.
        """
        modules = [(name, importlib.import_module(name)) for name in _builtin()]
        modules += [(name, _imported(name)) for name in _offered(tuple(sys.path))]
        modules += [(each, _named(each)) for each in extra]
        return cls(modules)

    def find(self, name: str) -> Any:
        """The module of a kind. Raises InvalidValue."""
        found = self._kinds.get(name)
        if found is not None:
            return found
        offered = [known for known in self.names if not is_hidden(self._kinds[known])]
        near = difflib.get_close_matches(name, offered, n=1, cutoff=0.5)
        remedy = f"Did you mean {near[0]}?" if near else f"Use {', '.join(offered)}."
        raise InvalidValue(
            f"`kind`: {name[:_SHOWN_CHARS]} is not known here. {remedy}", param="kind"
        )


def is_hidden(kind: Any) -> bool:
    """Callers may not submit it."""
    return bool(getattr(kind, "HIDDEN", False))


# --- Where they are ----------------------------------------------------------------------------------


def _builtin() -> list[str]:
    return [f"{builtin.__name__}.{found.name}" for found in pkgutil.iter_modules(builtin.__path__)]


@cache
def _offered(path: tuple[str, ...]) -> tuple[str, ...]:
    """Modules that the packages on a search path offer; none is installed while we run."""
    return tuple(each.module for each in entry_points(group=GROUP))


def _named(name: str) -> ModuleType:
    return _imported_file(Path(name)) if name.endswith(".py") else _imported(name)


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (ImportError, SyntaxError) as error:
        raise StartRefused(
            f"The job kind {name} cannot be imported: {error}. Check jobs.kinds, and that its package"
            " is installed here; for a single file, name its path: ./kind.py."
        ) from error


def _imported_file(path: Path) -> ModuleType:
    place = str(path.absolute())
    name = f"gatemill_kind_{path.stem}_{zlib.crc32(place.encode()):08x}"
    spec = importlib.util.spec_from_file_location(name, place)
    assert spec is not None, "its name ends in .py"
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # msgspec looks there for the names in annotations
    try:
        spec.loader.exec_module(module)
    except (ImportError, SyntaxError, OSError) as error:
        raise StartRefused(
            f"The job kind {path} cannot be read: {error}. Check jobs.kinds; paths begin at the"
            " directory where the process was started."
        ) from error
    return module


# --- What is wrong with one --------------------------------------------------------------------------


@cache
def _faults(module: ModuleType) -> tuple[str, ...]:
    return tuple(_wrong(module))


def _wrong(module: Any) -> Iterator[str]:
    for name, meaning in (("NAME", "a name"), ("QUEUE", "a queue")):
        value = getattr(module, name, None)
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            yield f'it needs `{name}`, {meaning} of lower-case letters, digits and "_.-"'
        elif name == "QUEUE" and value in PRIORITIES:
            yield f'`QUEUE` "{value}" is a priority, no queue'
    yield from _wrong_args(module)
    run = getattr(module, "run", None)
    if not inspect.iscoroutinefunction(run) or not _takes(run, 2):
        yield "it needs `async def run(ctx, args)`"
    check = getattr(module, "check", None)
    if check is not None and (inspect.iscoroutinefunction(check) or not _takes(check, 3)):
        yield "`check` must be a plain function of (args, key, gateway)"
    look = getattr(module, "look", None)
    if look is not None and not (inspect.iscoroutinefunction(look) and _takes(look, 3)):
        yield "`look` must be `async def look(args, key, services)`"
    for name, fits, words in _OPTIONAL:
        value = getattr(module, name, None)
        if value is not None and not fits(value):
            yield f"`{name}` must be {words}"


def _wrong_args(module: Any) -> Iterator[str]:
    args = getattr(module, "Args", None)
    if args is None:
        yield "it needs `Args`, the type of its arguments, such as a msgspec.Struct"
        return
    try:
        msgspec.json.Decoder(args)
        known = msgspec.inspect.type_info(args)
    except (TypeError, NameError) as error:
        yield f"`Args` cannot be read from JSON: {error}"
        return
    if isinstance(known, msgspec.inspect.CustomType):
        yield "`Args` must be a type that msgspec knows: a Struct, a dataclass, a TypedDict or a dict"


def _takes(function: Any, count: int) -> bool:
    if not callable(function):
        return False
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    return True


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _is_pause(value: Any) -> bool:
    return value == 0 or _is_positive(value)


def _is_attempts(value: Any) -> bool:
    return type(value) is int and 1 <= value <= ATTEMPTS_MOST


def _is_priority(value: Any) -> bool:
    return type(value) is int and 0 <= value < len(PRIORITIES)


def _are_delays(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and all(map(_is_pause, value))


_OPTIONAL: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("PRIORITY", _is_priority, "HIGH, DEFAULT or LOW of gatemill.core.job"),
    ("ATTEMPTS_MAX", _is_attempts, f"a whole number from 1 to {ATTEMPTS_MOST}"),
    ("TIMEOUT_S", _is_positive, "a number of seconds above 0"),
    ("DELAYS_S", _are_delays, "a tuple of seconds"),
    ("SCOPE", lambda value: value in SCOPES, f"one of {', '.join(SCOPES)}"),
    ("HIDDEN", lambda value: isinstance(value, bool), "True or False"),
    ("MASKED", lambda value: isinstance(value, bool), "True or False"),
)

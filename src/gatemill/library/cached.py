"""`gm.cached`: equal calls of a function share one result.

Rule: everybody gets the result as it comes back from JSON, the first caller too, so that a result is
the same whether it was kept or not. Equal calls under way wait for one, as requests do.
"""

from __future__ import annotations

import copy
import inspect
import math
from functools import wraps
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec
from msgspec import Struct

from gatemill.core.errors import GatemillError, InvalidRequest
from gatemill.gateway.flights import Flight, Kept, Outcome
from gatemill.library.arguments import name_of
from gatemill.policy import cachekey

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable

    from gatemill.house import House
    from gatemill.library.arguments import Decorator, Errors, P, R

PATIENCE_S = 86_400.0  # nobody waits longer for an equal call
DEPTH_MAX = 64  # of lists and dictionaries in an argument
_OPERATION = "function"
_PLAIN = (str, int, bool, type(None))
_unpack = msgspec.msgpack.Decoder(Kept).decode
_pack = msgspec.msgpack.Encoder().encode
_encode = msgspec.json.Encoder().encode


class Keeping(Struct, frozen=True):
    """How long results are kept, and what makes two calls equal."""

    ttl_s: float
    stale_s: float  # beyond `ttl_s`, for when the function fails
    stale_on: Errors
    key: Callable[..., Any] | None  # takes the call's arguments; None: they decide themselves


def decorator(home: House, keeping: Keeping) -> Decorator:
    """Results are kept in the gateway's store, under the function's module and name."""

    def cached(
        function: Callable[P, Coroutine[Any, Any, R]],
    ) -> Callable[P, Coroutine[Any, Any, R]]:
        memory = _Memory(home, function, keeping)

        @wraps(function)
        async def call(*args: P.args, **kwargs: P.kwargs) -> R:
            result: R = await memory.answer(args, kwargs)
            return result

        return call

    return cached


class _Memory:
    """The results of one function, kept and under way."""

    def __init__(
        self, home: House, function: Callable[..., Coroutine[Any, Any, Any]], keeping: Keeping
    ) -> None:
        self._name = name_of(function)
        self._captured = _captured(function)
        self._function = function
        self._keeping = keeping
        self._signature = inspect.signature(function)
        self._decode = _decoder(function, self._name)
        self._store = home.lasting.answers
        self._recall = home.gateway.recall  # for its counters
        self._clock = home.gateway.clock
        self._entry_bytes = home.settings.cache.entry_bytes
        self._flights: dict[Hashable, Flight] = {}  # at most one for each call under way
        self._caught: Errors = (GatemillError, *keeping.stale_on)

    async def answer(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result of this call, or of an equal one."""
        digest = self._digest(args, kwargs)
        flight = self._flights.get(digest)
        if flight is None:
            kept = await self._load(digest)
            if kept is not None and self._age_s(kept) < self._keeping.ttl_s:
                self._recall.hits += 1
                return self._decode(kept.body)
            # Others may have begun while the store was asked.
            flight = self._flights.get(digest)
        if flight is None:
            return await self._lead(Flight(digest, self._flights), digest, args, kwargs)
        outcome = await flight.outcome(PATIENCE_S, 0.0)
        if outcome.failure is not None:
            raise copy.copy(outcome.failure)
        if outcome.kept is None:
            return await self._lead(flight, digest, args, kwargs)
        if outcome.how == "stale":
            self._recall.stale += 1
        else:
            self._recall.coalesced += 1
        return self._decode(outcome.kept.body)

    async def _lead(
        self, flight: Flight, digest: bytes, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        failure: GatemillError | None = None
        is_answered = False
        try:
            try:
                value = await self._function(*args, **kwargs)
            except self._caught as error:
                failure = error if isinstance(error, GatemillError) else None
                stale = await self._stale(digest, error)
                if stale is None:
                    raise
                flight.give(Outcome(stale, "stale"))
                is_answered = True
                self._recall.stale += 1
                return self._decode(stale.body)
            body, result = self._through_json(value)
            kept = Kept(digest, self._clock.unix_s(), streams=False, reported=(), body=body)
            flight.give(Outcome(kept))
            is_answered = True
        finally:
            if not is_answered:
                flight.fail(failure)
        self._recall.misses += 1
        self._keep(kept)
        return result

    def _keep(self, kept: Kept) -> None:
        if len(kept.body) > self._entry_bytes:
            self._recall.too_large += 1
            return
        keeping = self._keeping
        self._store.put(kept.digest, _pack(kept), keeping.ttl_s + keeping.stale_s)

    async def _stale(self, digest: bytes, error: Exception) -> Kept | None:
        keeping = self._keeping
        # What the arguments are to blame for would have failed then, too.
        if not isinstance(error, keeping.stale_on) or isinstance(error, InvalidRequest):
            return None
        kept = await self._load(digest) if keeping.stale_s else None
        if kept is None or self._age_s(kept) >= keeping.ttl_s + keeping.stale_s:
            return None
        return kept

    async def _load(self, digest: bytes) -> Kept | None:
        value = await self._store.get(digest)
        if value is None:
            return None
        try:
            kept = _unpack(value)
            self._decode(kept.body)  # an earlier version of the function may have kept it
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        return kept if kept.digest == digest else None

    def _age_s(self, kept: Kept) -> float:
        # Another process may have kept it, by a clock that is ahead of ours.
        return max(0.0, self._clock.unix_s() - kept.at_s)

    def _through_json(self, value: Any) -> tuple[bytes, Any]:
        """The result as JSON, and what everybody gets. Raises TypeError."""
        try:
            body = _encode(value)
            return body, self._decode(body)
        except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
            raise TypeError(
                f"the result of {self._name} cannot be kept as JSON of its return annotation: {error}"
            ) from error

    def _digest(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        keeping = self._keeping
        if keeping.key is not None:
            said = {"key": keeping.key(*args, **kwargs)}
        else:
            bound = self._signature.bind(*args, **kwargs)
            bound.apply_defaults()
            said = {
                name: list(value) if self._is_rest(name) else value
                for name, value in bound.arguments.items()
            }
        for name, value in said.items():
            if not _is_json(value, DEPTH_MAX):
                remedy = "return JSON from" if keeping.key else "pass JSON, or decorate with"
                raise TypeError(
                    f"{self._name}: `{name}` is no JSON, so it cannot tell two calls apart;"
                    f" {remedy} key="
                )
        return cachekey.digest("library", _OPERATION, (self._name, self._captured), said)

    def _is_rest(self, name: str) -> bool:
        return self._signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL


def _decoder(function: Callable[..., Any], name: str) -> Callable[[bytes], Any]:
    """JSON -> what the function says that it returns; plain JSON where it does not say."""
    # Only this one: the others may name what is imported for type checkers alone.
    said = {"return": getattr(function, "__annotations__", {}).get("return", Any)}
    scope = getattr(inspect.unwrap(function), "__globals__", {})
    try:
        hints = get_type_hints(SimpleNamespace(__annotations__=said), scope, include_extras=True)
    except NameError as error:
        raise TypeError(
            f"the return annotation of {name} does not exist at run time: {error}"
        ) from error
    decode: Callable[[bytes], Any] = msgspec.json.Decoder(hints["return"]).decode
    return decode


def _captured(function: Callable[..., Any]) -> dict[str, Any]:
    """What an inner function has of the function around it, as far as it is JSON.

    Two that were made by the same lines with other values are two functions.
    """
    inner = inspect.unwrap(function)
    names = inner.__code__.co_freevars if inspect.isfunction(inner) else ()
    found = {}
    for name, cell in zip(names, getattr(inner, "__closure__", None) or (), strict=True):
        try:
            value = cell.cell_contents
        except ValueError:  # it is set later
            continue
        if _is_json(value, DEPTH_MAX):
            found[name] = copy.deepcopy(value)
    return found


def _is_json(value: Any, depth: int) -> bool:
    kind = type(value)  # exactly: a subclass may mean more than its JSON says
    if kind in _PLAIN:
        return True
    if kind is float:
        return math.isfinite(value)
    if depth == 0:
        return False
    if kind is list:
        return all(_is_json(each, depth - 1) for each in value)
    return kind is dict and all(
        type(name) is str and _is_json(each, depth - 1) for name, each in value.items()
    )

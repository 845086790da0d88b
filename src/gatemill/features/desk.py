"""Feature sets, and their values. Rule: a request never waits longer for them than it is told to.

What does not come in time is the default, and counted; it comes into the cache all the same, so that the
next request finds it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gatemill.core.errors import GatemillError, InvalidValue, NotFound, UnsupportedOperation
from gatemill.core.tasks import spawn
from gatemill.features import words
from gatemill.features.cache import Cache
from gatemill.features.feast import Known
from gatemill.features.table import Table, told
from gatemill.ledger.features import EVER_S, Given

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.call import Call
    from gatemill.core.clock import Clock
    from gatemill.core.later import Later
    from gatemill.features.cache import Values
    from gatemill.features.feast import Feast
    from gatemill.features.words import ReadNew, SetNew, WriteNew
    from gatemill.ledger.features import Feature, Pair, Set, Value
    from gatemill.ledger.ledger import Ledger

FLIGHTS_MAX = 64  # reads under way for requests; beyond it they get the defaults
_SLICE = 100  # entities read in one turn of the thread


class Terms(Struct, frozen=True):
    """Options; see docs/settings.md, section features."""

    budget_s: float = 0.01
    cache_s: float = 5.0
    cache_entries: int = 10_000


class Desk:
    """One for the house. Satisfies gateway.parts.Facts."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        log: Later[Given],
        terms: Terms,
        feast: Feast | None = None,
    ) -> None:
        self.feast = feast
        self.log = log
        self.cache = Cache(terms.cache_entries, terms.cache_s, clock.monotonic_s)
        self.resolved = 0  # requests
        self.defaults: dict[str, int] = dict.fromkeys(("late", "failed", "refused"), 0)  # entities
        self.table = Table(())  # replaced by refresh
        self._ledger = ledger.features
        self._clock = clock
        self._terms = terms
        self._writes = 0  # so far; a read that began before one is not kept
        self._flights: dict[Pair, asyncio.Task[dict[Pair, Values]]] = {}

    def follow(self, previous: Desk) -> None:
        """The sets are those of `previous`, until they are read anew."""
        self.table = previous.table

    async def refresh(self) -> None:
        """What the database says now is served here. Raises LedgerUnavailable and Overloaded."""
        self.table = Table(await self._ledger.sets())
        self._writes += 1
        self.cache.clear()

    # --- For requests ------------------------------------------------------------------------------

    async def resolve(self, call: Call, *, keep: bool) -> dict[str, Any]:
        """The features of `call.head.entities`, and what the caller may say of others.

        With `keep` they are logged with the call's id. Raises InvalidValue for an unknown kind of
        entity, and for a feature that the caller may not say.
        """
        head, table = call.head, self.table
        asked = {
            entity: table.features(entity, None, f"entities.{entity}")
            for entity, _ in head.entities
        }
        # Only an admin starts a replay, which gives values as they were.
        trusts = bool(call.job_id) and call.key is not None and call.key.admin
        claims = table.claims(head.features, trusts=trusts) if head.features else {}
        if not asked:
            return claims
        for entity, key in head.entities:
            words.check_key(key, f"entities.{entity}")
        self.resolved += 1
        found = await self._in_time(head.entities)
        now_s = self._clock.unix_s()
        facts: dict[str, Any] = {}
        for pair in head.entities:
            known, entity = found.get(pair, {}), pair[0]
            for feature in asked[entity]:
                name = f"{entity}.{feature.name}"
                facts[name] = told(feature, known.get(feature.name), now_s).value
        facts |= claims
        if keep:
            self._note(call, facts)
        return facts

    def _note(self, call: Call, facts: dict[str, Any]) -> None:
        head, table = call.head, self.table
        sets = [one.name for entity, _ in head.entities for one in table.of(entity, "entities")]
        assert call.key is not None
        given = Given(
            *(call.id, call.arrived_at, call.key.id, call.operation, head.model),
            sets=tuple(sets),
            entities=dict(head.entities),
            given=facts,
        )
        self.log.add(given)

    async def _in_time(self, pairs: Sequence[Pair]) -> dict[Pair, Values]:
        """What is known of those that are kept, or come within the budget."""
        found: dict[Pair, Values] = {}
        missing: list[Pair] = []
        for pair in pairs:
            kept = self.cache.get(pair)
            if kept is None:
                missing.append(pair)
            else:
                found[pair] = kept
        if not missing:
            return found
        flights = self._flown(missing)
        if flights:
            await asyncio.wait(set(flights.values()), timeout=self._terms.budget_s)
        for pair in missing:
            flight = flights.get(pair)
            if flight is None:
                self.defaults["refused"] += 1
            elif not flight.done():
                self.defaults["late"] += 1
            elif pair in (come := flight.result()):
                found[pair] = come[pair]
            else:
                self.defaults["failed"] += 1
        return found

    def _flown(self, pairs: Sequence[Pair]) -> dict[Pair, asyncio.Task[dict[Pair, Values]]]:
        """Reads of these, new ones or those under way; none where too many are."""
        new = [pair for pair in pairs if pair not in self._flights]
        if new and len(self._flights) + len(new) <= FLIGHTS_MAX:
            task = spawn(self._fly(new), "features")
            self._flights.update(dict.fromkeys(new, task))
        return {pair: self._flights[pair] for pair in pairs if pair in self._flights}

    async def _fly(self, pairs: Sequence[Pair]) -> dict[Pair, Values]:
        writes = self._writes
        try:
            found, failure = await self._known(pairs)
        except GatemillError:
            return {}
        finally:
            own = asyncio.current_task()
            for pair in pairs:
                if self._flights.get(pair) is own:
                    del self._flights[pair]
        if failure is None and writes == self._writes:
            self.cache.put(found)
        return found

    async def _known(
        self, pairs: Sequence[Pair]
    ) -> tuple[dict[Pair, Values], GatemillError | None]:
        """What is known now, and why some of it is missing. Raises GatemillError of the database."""
        table = self.table
        sets = {pair: table.of(pair[0], "entities") for pair in pairs}
        local = [pair for pair in pairs if any(one.source == "local" for one in sets[pair])]
        found: dict[Pair, Values] = {pair: {} for pair in pairs}
        far: dict[str, list[Pair]] = {}
        for pair in pairs:
            for one in sets[pair]:
                if one.source == "feast":
                    far.setdefault(one.name, []).append(pair)
        asked = [
            self._ask_feast(found, table.sets[name], some[first : first + _SLICE])
            for name, some in far.items()
            for first in range(0, len(some), _SLICE)
        ]
        failures = await asyncio.gather(self._read(found, local), *asked)
        return found, next((each for each in failures if each is not None), None)

    async def _read(self, found: dict[Pair, Values], pairs: Sequence[Pair]) -> None:
        for first in range(0, len(pairs), _SLICE):
            some = await self._ledger.latest(pairs[first : first + _SLICE])
            for pair, values in some.items():
                names = self.table.types(pair[0], "local")
                found[pair] |= {n: _known(value) for n, value in values.items() if n in names}

    async def _ask_feast(
        self, found: dict[Pair, Values], one: Set, pairs: Sequence[Pair]
    ) -> GatemillError | None:
        if self.feast is None:
            return UnsupportedOperation(
                f"The feature set {one.name} comes from Feast, and none is configured. Set"
                " features.feast.url."
            )
        refs = {feature.name: feature.ref for feature in one.features}
        try:
            rows = await self.feast.online(refs, one.join_key, [key for _, key in pairs])
        except GatemillError as error:
            return error
        types = {feature.name: feature.type for feature in one.features}
        for pair, values in zip(pairs, rows, strict=True):
            for name, known in values.items():
                fits = known.value is None or words.is_of(known.value, types[name])
                found[pair][name] = known if fits else Known(None, known.event_at, "NULL_VALUE")
        return None

    # --- For the door ------------------------------------------------------------------------------

    def find(self, name: str) -> Set:
        """The set of this name. Raises NotFound."""
        found = self.table.sets.get(name)
        if found is None:
            raise NotFound(
                "There is no feature set of this name. GET /v1/feature_sets lists them.",
                param="name",
            )
        return found

    async def put(self, name: str, said: SetNew) -> tuple[Set, bool]:
        """The set, which is served here from now on; True: it is new. Raises InvalidValue, Conflict."""
        made = await self._ledger.put(words.checked_set(name, said))
        await self.refresh()
        return made

    async def delete(self, name: str) -> None:
        """The set is gone, and so are its values. Raises NotFound."""
        await self._ledger.delete(name)
        await self.refresh()

    async def write(self, said: WriteNew) -> int:
        """The number of values, durable and served here. Raises InvalidRequest's kinds."""
        types = self.table.types(said.entity, "local")
        values = words.written(said, types, self._clock.unix_s())
        if values:
            await self._ledger.write(values)
        self._writes += 1
        for pair in {(each.entity, each.key) for each in values}:
            self.cache.drop(pair)
            self._flights.pop(pair, None)  # it may bring what held before; nobody joins it now
        return len(values)

    async def read(self, said: ReadNew) -> list[dict[str, Any]]:
        """A row for each entity, in the order of the question. Raises InvalidValue, UpstreamError."""
        table, now_s = self.table, self._clock.unix_s()
        if said.features is not None:
            table.check(said.features, "features")
        features = {
            entity: table.features(entity, said.features, f"entities.{entity}")
            for entity in said.entities
        }
        words.check_read(said, max(map(len, features.values())))
        pairs = [(entity, key) for entity, keys in said.entities.items() for key in keys]
        at_s = words.moment(said.as_of, now_s, "as_of")
        if said.as_of is None and said.known_by is None:
            found, failure = await self._known(list(dict.fromkeys(pairs)))
            if failure is not None:
                raise failure
        else:
            known_by_s = EVER_S
            if said.known_by is not None:
                known_by_s = words.moment(said.known_by, now_s, "known_by")
            found = await self._past(pairs, features, (at_s, known_by_s))
        return [_row(pair, features[pair[0]], found.get(pair, {}), at_s) for pair in pairs]

    async def _past(
        self, pairs: Sequence[Pair], features: dict[str, list[Feature]], when: tuple[float, float]
    ) -> dict[Pair, Values]:
        """What held at one moment, as far as it had been written by another; both in Unix time."""
        for entity in features:
            for one in self.table.of(entity, "entities"):
                if one.source == "feast":
                    raise InvalidValue(
                        f"`as_of`: {one.name} comes from Feast, which knows its past itself:"
                        " get_historical_features.",
                        param="as_of",
                    )
        asked = [(pair, feature.name) for pair in pairs for feature in features[pair[0]]]
        values = await self._ledger.at(asked, *when)
        found: dict[Pair, Values] = {}
        for (pair, name), value in values.items():
            found.setdefault(pair, {})[name] = _known(value)
        return found

    async def logged(
        self, since_s: float, until_s: float, name: str, limit: int, after: str
    ) -> list[Given]:
        """What requests were given, the newest first. Raises NotFound for an unknown set."""
        if name:
            self.find(name)
        await self.log.flushed()
        return await self._ledger.logged(since_s, until_s, name, limit, after)


def _known(value: Value) -> Known:
    status = "NULL_VALUE" if value.value is None else "PRESENT"
    return Known(value.value, value.event_at, status)


def _row(pair: Pair, features: Sequence[Feature], known: Values, at_s: float) -> dict[str, Any]:
    entity, key = pair
    row: dict[str, Any] = {"entity": entity, "key": key}
    found = {f"{entity}.{one.name}": told(one, known.get(one.name), at_s) for one in features}
    row["values"] = {name: one.value for name, one in found.items()}
    row["statuses"] = {name: one.status for name, one in found.items()}
    row["event_ts"] = {name: one.event_at for name, one in found.items()}
    return row

"""What was used, by whom, of what. Rule: sums come from the roll-ups.

Everything here only reads, in the reading thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gatemill.core.errors import InvalidValue
from gatemill.ledger import days, keys, queries, requests, rollups, summaries, usage
from gatemill.ledger.usage import ALL, Filters

if TYPE_CHECKING:
    from gatemill.core.call import UsageRow
    from gatemill.ledger.database import Database
    from gatemill.ledger.reader import Reader
    from gatemill.ledger.summaries import Summary

LINES_MAX = 10_000  # of one report
LABELS = ("key", "user", "team", "model", "provider", "target", "operation", "version", "cache")
STEPS_S = {"minute": rollups.MINUTE_S, "hour": 3_600, "day": rollups.DAY_S}
_FOR_EVER_S = 1 << 42

_SQL = queries.load("reports")
_REPORT = _SQL["report_usage"]


class Query(Struct, frozen=True):
    """What to add up."""

    since_s: float  # Unix time, of the requests' arrival; to whole minutes outwards
    until_s: float
    by: tuple[str, ...] = ()  # of LABELS, and at most one of STEPS_S
    filters: Filters = ALL
    limit: int = LINES_MAX


class Line(Struct, frozen=True):
    """One line of a report. A label that was not asked for is ""."""

    start_s: int  # Unix time of the minute, hour or day; 0 where it is not by time
    key_id: str
    user_id: str
    team_id: str
    model: str
    provider: str
    target_model: str
    operation: str
    version: str
    cache: str
    requests: int  # counted where their first attempt is
    attempts: int
    failed: int  # attempts
    unpriced: int  # attempts whose cost is unknown and not in the sum
    estimated: int  # attempts whose tokens are ours, not the provider's
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    input_audio_tokens: int
    output_tokens: int
    reasoning_tokens: int
    output_audio_tokens: int
    cost_microusd: int
    latency_us: int  # sum over the attempts that succeeded
    first_tokens: int  # attempts of which something came
    first_token_us: int  # sum over these

    @property
    def mean_latency_ms(self) -> float | None:
        """Of the attempts that succeeded; None when none did."""
        succeeded = self.attempts - self.failed
        return self.latency_us / succeeded / 1e3 if succeeded else None

    @property
    def mean_first_token_ms(self) -> float | None:
        """Of the attempts of which something came."""
        return self.first_token_us / self.first_tokens / 1e3 if self.first_tokens else None


class Reports:
    """What can be asked."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def usage(self, query: Query) -> list[Line]:
        """Sums by labels, in the order of time, then the dearest first. Raises InvalidValue.

        Minutes and hours reach back as far as single rows are kept, days for ever.
        """
        _check(query)
        return await self._reader.run(lambda database: lines(database, query))

    async def summary(self, since_s: float, until_s: float, filters: Filters = ALL) -> Summary:
        """Requests that arrived in [since, until), to whole minutes outwards; see `summaries.py`."""
        return await self._reader.run(lambda db: summaries.of(db, since_s, until_s, filters))

    async def request(self, request_id: str) -> list[UsageRow]:
        """The attempts of one request in their order; none for an unknown id."""
        return await self._reader.run(lambda database: usage.of_request(database, request_id))

    async def keys(self, wanted: keys.Search) -> list[keys.ListedKey]:
        """A page of keys of any state, the newest first."""
        return await self._reader.run(lambda database: keys.search(database, wanted))

    async def days(self, scope: str, scope_id: str, since_s: float) -> list[days.Day]:
        """What a key, user or team used, by whole days UTC and model, the oldest first."""
        return await self._reader.run(lambda db: days.of(db, scope, scope_id, since_s))

    async def requests(self, wanted: requests.Wanted) -> requests.Found:
        """Single attempts that are committed, a page of them."""
        return await self._reader.run(lambda database: requests.page(database, wanted))


def lines(database: Database, query: Query) -> list[Line]:
    """The lines of a report; see `Reports.usage`."""
    step = next((name for name in query.by if name in STEPS_S), None)
    params: dict[str, Any] = {f"by_{name}": name in query.by for name in LABELS}
    params["step_s"] = STEPS_S[step] if step else _FOR_EVER_S
    params["limit"] = max(0, min(query.limit, LINES_MAX))
    params |= msgspec.structs.asdict(query.filters)
    params |= _spans(database, query, whole_days=step in (None, "day"))
    return msgspec.convert(database.rows(_REPORT, params), list[Line], strict=False)


def _spans(database: Database, query: Query, *, whole_days: bool) -> dict[str, int]:
    since_s, until_s = query.since_s, query.until_s
    if whole_days:
        since_s, until_s = usage.outward(database, since_s, until_s)
    found = rollups.spans(since_s, until_s)
    if not whole_days and found:
        start_s = min(start for _, start, _ in found)
        found = [(rollups.MINUTE_S, start_s, max(end for _, _, end in found))]
    minutes = [each for each in found if each[0] == rollups.MINUTE_S]
    days = [each for each in found if each[0] == rollups.DAY_S]
    nothing = (0, 0, 0)
    ordered = [*days, *[nothing] * (1 - len(days)), *minutes, *[nothing] * (2 - len(minutes))]
    params: dict[str, int] = {}
    for name, (_, start_s, end_s) in zip(("days", "head", "tail"), ordered, strict=True):
        params[f"{name}_since"] = start_s
        params[f"{name}_until"] = end_s
    return params


def _check(query: Query) -> None:
    unknown = [name for name in query.by if name not in LABELS and name not in STEPS_S]
    if unknown:
        known = ", ".join((*LABELS, *STEPS_S))
        raise InvalidValue(f"Usage can be told by {known}; not by {unknown[0]}.", param="by")
    if len([name for name in query.by if name in STEPS_S]) > 1:
        raise InvalidValue("Name one of minute, hour and day.", param="by")
    if not query.since_s < query.until_s:
        raise InvalidValue("The span must begin before it ends.", param="since")

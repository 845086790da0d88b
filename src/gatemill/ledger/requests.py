"""Single attempts, page by page. Rule: no page costs more than a bounded number of rows, however rare what it looks for.

A page is looked for from a place in the order of time, and comes with the places where the pages before
and after it begin. A filter that an index or the sums per minute can follow goes straight to its rows;
any other looks at a bounded number of rows, and says how far it came.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import Struct

from gatemill.core.call import UsageRow
from gatemill.core.errors import InvalidValue
from gatemill.ledger import queries, rollups

if TYPE_CHECKING:
    from gatemill.ledger.database import Database

ROWS_MAX = 30_000  # that are looked at for one page; about 60 ms
# Through an index whose rows lie far apart in the file: 240 ms where none of them is in memory
# (SQLite 3.40, 10 million rows, 2 cores, 2026-11).
FAR_ROWS_MAX = 3_000
MINUTES_MAX = 60  # of the sums that are followed for one page
PAGE_MAX = 10_000
RANKED_MAX = 10_000  # attempts whose durations are told one by one
RANKED_MINUTES_MAX = 600  # in which they are looked for
STATUS_MAX = 999
END_S = 1e11  # after every row
_LABELS = ("user", "team", "model")  # by whose sums minutes are found, the rarest first

_SQL = queries.load("requests")
_FIELDS = UsageRow.__struct_fields__


class Place(NamedTuple):
    """A place in the order of attempts: that of one of them, or right before all of one moment."""

    at_s: float
    attempt_id: str = ""

    @property
    def text(self) -> str:
        """For an address."""
        return f"{self.at_s!r}_{self.attempt_id}"


def place(text: str, param: str) -> Place:
    """The place that `Place.text` names. Raises InvalidValue."""
    at, _, attempt_id = text.partition("_")
    try:
        at_s = float(at)
    except ValueError:
        at_s = -1.0
    if not 0 <= at_s <= END_S or len(attempt_id) > 200:
        raise InvalidValue(
            f"`{param}`: send what an earlier page gave as its place, or leave it out.", param=param
        )
    return Place(at_s, attempt_id)


class Sieve(Struct, frozen=True):
    """Which attempts; "" and 0 let all of them pass."""

    key: str = ""
    user: str = ""
    team: str = ""
    model: str = ""
    provider: str = ""
    outcome: str = ""  # "ok" or "error"
    error: str = ""  # public code
    status_from: int = 0
    status_to: int = STATUS_MAX
    latency_ms: float = 0.0  # at least


class Wanted(Struct, frozen=True):
    """One page."""

    sieve: Sieve
    limit: int
    since_s: float = 0.0  # Unix time
    until_s: float = END_S
    before: Place | None = None  # the page ends here: older attempts
    after: Place | None = None  # the page begins here: newer ones


class Found(Struct, frozen=True):
    """A page, the newest first."""

    rows: list[UsageRow]
    newer: Place | None  # as `after` of the next page that way; None: there is none
    older: Place | None  # as `before`
    looked_to_s: (
        float | None
    )  # the search ended here, for this time; None: it has seen all it had to


class _Span(NamedTuple):
    """Attempts between two places; an attempt that is one of them is not among them."""

    since: Place
    until: Place


class _Way(NamedTuple):
    """Into which direction, and through which index."""

    name: str  # "older" or "newer"
    through: str  # "", "_of_key" or "_failed"
    sieve: Sieve
    what: str = ""  # "_durations": not the whole rows

    @property
    def falls(self) -> bool:
        return self.name == "older"

    def rows(self, database: Database, span: _Span, limit: int) -> list[dict[str, Any]]:
        """Those that pass, at most `limit`."""
        said = msgspec.structs.asdict(self.sieve) | {"limit": limit}
        said |= {"since_s": span.since.at_s, "since_id": span.since.attempt_id}
        said |= {"until_s": span.until.at_s, "until_id": span.until.attempt_id}
        return database.rows(_SQL[f"{self.name}{self.through}{self.what}"], said)

    def reach(self, database: Database, span: _Span, limit: int) -> tuple[int, _Span]:
        """The part of a span that `limit` rows make out, and how many there are."""
        said = {"key": self.sieve.key, "limit": limit}
        said |= {"since_s": span.since.at_s, "until_s": span.until.at_s}
        found = database.rows(_SQL[f"{self.name}{self.through}_reach"], said)[0]
        if found["times"] < limit:
            return found["times"], span
        edge = Place(found["edge_s"])
        # All of the edge's own moment belong to the part.
        return limit, span._replace(since=edge) if self.falls else span._replace(until=_past(edge))


def page(database: Database, wanted: Wanted) -> Found:
    """One page; see the head of this file."""
    sieve = wanted.sieve
    has_failed = sieve.outcome == "error" or bool(sieve.error) or sieve.status_from >= 400
    index = "_of_key" if sieve.key else "_failed" if has_failed else ""
    way = _Way("older" if wanted.after is None else "newer", index, sieve)
    since, until = Place(wanted.since_s), Place(wanted.until_s)
    if wanted.after is not None:
        since = max(since, wanted.after)
    elif wanted.before is not None:
        until = min(until, wanted.before)
    whole = _Span(since, until)
    spans = _spans(database, way, whole, MINUTES_MAX)
    found, end = _search(database, way, spans, wanted.limit + 1)
    values = [[row[field] for field in _FIELDS] for row in found]
    return _found(wanted, msgspec.convert(values, list[UsageRow], strict=False), end)


def durations(
    database: Database, sieve: Sieve, since_s: float, until_s: float
) -> dict[str, list[float]]:
    """How long the newest attempts that pass took, by measure; of at most `RANKED_MAX`, found as a page is.

    The latency of those that succeeded, and the time to the first token of those of which something came.
    """
    way = _Way("older", "_of_key" if sieve.key else "", sieve, "_durations")
    whole = _Span(Place(since_s), Place(until_s))
    spans = [whole]
    if way.reach(database, whole, ROWS_MAX)[0] == ROWS_MAX:
        spans = _spans(database, way, whole, RANKED_MINUTES_MAX)
    rows, _ = _search(database, way, spans, RANKED_MAX)
    columns = ((rollups.LATENCY, "latency_ms"), (rollups.FIRST_TOKEN, "first_token_ms"))
    return {
        measure: [row[column] for row in rows if row[column] is not None]
        for measure, column in columns
    }


def _search(
    database: Database, way: _Way, spans: list[_Span], most: int
) -> tuple[list[dict[str, Any]], Place | None]:
    """Rows of the spans, at most so many, and where the search gave up, if it did."""
    rows: list[dict[str, Any]] = []
    left = max(FAR_ROWS_MAX if way.through else ROWS_MAX, most)
    for span in spans:
        times, near = way.reach(database, span, left)
        rows += way.rows(database, near, most - len(rows))
        left -= times
        end = near.since if way.falls else near.until
        if len(rows) == most:
            return rows, None
        if left <= 0:
            return rows, end
    if len(spans) == MINUTES_MAX:
        return rows, end
    return rows, None


def _spans(database: Database, way: _Way, whole: _Span, minutes_max: int) -> list[_Span]:
    """Where rows may be, in the order of the search; `minutes_max` of them: there may be more."""
    label = next((each for each in _LABELS if getattr(way.sieve, each)), "")
    if whole.since >= whole.until:
        return []
    if way.through or not label:
        return [whole]
    said = {label: getattr(way.sieve, label), "limit": minutes_max}
    said |= {"since_s": int(whole.since.at_s) // rollups.MINUTE_S * rollups.MINUTE_S}
    said |= {"until_s": int(whole.until.at_s)}
    found = database.rows(_SQL[f"{way.name}_minutes_of_{label}"], said)
    return [
        _Span(
            max(whole.since, Place(float(row["start_s"]))),
            min(whole.until, Place(float(row["start_s"] + rollups.MINUTE_S))),
        )
        for row in found
    ]


def _found(wanted: Wanted, rows: list[UsageRow], end: Place | None) -> Found:
    onward = _of(rows[wanted.limit - 1]) if len(rows) > wanted.limit else end
    rows, looked_to_s = rows[: wanted.limit], None if end is None else end.at_s
    if wanted.after is None:
        back = wanted.before and (_of(rows[0]) if rows else Place(wanted.before.at_s))
        return Found(rows, back, onward, looked_to_s)
    rows.reverse()
    back = _of(rows[-1]) if rows else _past(wanted.after)
    return Found(rows, onward, back, looked_to_s)


def _of(row: UsageRow) -> Place:
    return Place(row.at, row.attempt_id)


def _past(edge: Place) -> Place:
    """Right after all of a place's moment."""
    return Place(math.nextafter(edge.at_s, math.inf))

"""Usage rows added up by minute and by day. Rule: exact, so integers only; written in the transaction of the rows.

A row counts in the minute and in the UTC day in which its request arrived. Both sums are kept from
the start: minutes end with their rows, days stay, and no window that begins and ends at midnight
ever needs a minute. Hours are for charts and summaries: they know model, provider, operation and cache alone, so
that a week of them is read at once however many keys there are. How long attempts took is counted in buckets.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from itertools import repeat
from operator import add, floordiv, itemgetter
from typing import TYPE_CHECKING, Any, Final

from gatemill.core.call import UsageRow
from gatemill.core.errors import InvalidValue
from gatemill.ledger import queries
from gatemill.policy.latencies import BOUNDS_MS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gatemill.ledger.database import Database

MINUTE_S = 60
HOUR_S = 3_600
DAY_S = 86_400
END_S = float(1 << 40)
SUM_MAX = 1 << 50  # of one batch; a thousand times more still fits the column

Sums = dict[tuple[int, tuple[str, ...]], tuple[int, ...]]  # by start of the span and labels

LATENCY, FIRST_TOKEN = "latency", "first_token"  # what is counted in buckets
# How often something took so long: span, start, model, provider, measure, bucket, times.
Latency = tuple[int, int, str, str, str, int, int]

_ADD = queries.load("usage")["add_sums"]
_ADD_LATENCIES = queries.load("trends")["add_latencies"]
_FIELDS: Final = UsageRow.__struct_fields__
_LABELS = (
    "key_id",
    "user_id",
    "team_id",
    "model",
    "provider",
    "target_model",
    "operation",
    "version",
    "cache",
)
_COUNTS = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "input_audio_tokens",
    "output_tokens",
    "reasoning_tokens",
    "output_audio_tokens",
)
_AT = _FIELDS.index("at")
_ERROR = _FIELDS.index("error")
_FIRST_TOKEN_MS = _FIELDS.index("first_token_ms")
_labels = itemgetter(*map(_FIELDS.index, _LABELS))
_counts = itemgetter(*map(_FIELDS.index, _COUNTS))
_place = itemgetter(*map(_FIELDS.index, ("at", "model", "provider")))
_latency = itemgetter(_FIELDS.index("latency_ms"))
_first_token = itemgetter(_FIRST_TOKEN_MS)
_facts = itemgetter(
    *map(
        _FIELDS.index,
        ("attempt", "error", "estimated", "cost_microusd", "latency_ms", "first_token_ms"),
    )
)


def minutes(rows: Sequence[tuple[Any, ...]]) -> Sums:
    """The sums of rows, as tuples in the order of UsageRow's fields, by minute and labels.

    Raises InvalidValue for numbers that no column holds.
    """
    # Columns are added up in C, a group at a time: adding field by field takes three times as long,
    # and the thread that does it competes with the event loop for Python's lock.
    groups: defaultdict[tuple[float, tuple[str, ...]], list[tuple[Any, ...]]] = defaultdict(list)
    at = _AT
    for row in rows:
        groups[row[at] // 60, _labels(row)].append(row)
    try:
        found = {(int(key[0]) * MINUTE_S, key[1]): _sum(group) for key, group in groups.items()}
    except (OverflowError, ValueError) as error:  # not a number, or infinite
        raise InvalidValue("A usage row holds a time that is not finite.", param="at") from error
    if any(max(sums) > SUM_MAX for sums in found.values()):
        raise InvalidValue("A usage row holds a number beyond all bounds.", param="usage")
    return found


def latencies(rows: Sequence[tuple[Any, ...]], sign: int = 1) -> list[Latency]:
    """How often attempts that succeeded took how long; rows as in `minutes`, which has refused bad ones.

    Every span has those of all models together, under the model ""; hours and days have the latency
    of each model and provider apart, too. With `sign` -1 they are taken away.
    """
    good = [row for row in rows if not row[_ERROR]]
    began = [row for row in good if row[_FIRST_TOKEN_MS] is not None]
    lines: list[Latency] = []
    for some, measure, duration in ((good, LATENCY, _latency), (began, FIRST_TOKEN, _first_token)):
        if not some:
            continue
        moments, models, providers = zip(*map(_place, some), strict=True)
        numbers = tuple(map(bisect_left, repeat(BOUNDS_MS), map(duration, some)))
        nobody: Iterable[str] = repeat("")
        whose = [(span_s, nobody, nobody) for span_s in (MINUTE_S, HOUR_S, DAY_S)]
        if measure == LATENCY:
            whose += [(span_s, models, providers) for span_s in (HOUR_S, DAY_S)]
        for span_s, *labels in whose:
            # In C as far as it goes, for the same reason as there.
            starts = map(floordiv, moments, repeat(span_s))
            found = Counter(zip(starts, *labels, numbers, strict=False))
            lines += [
                (span_s, int(start) * span_s, model, provider, measure, number, count * sign)
                for (start, model, provider, number), count in found.items()
            ]
    return lines


def store_latencies(database: Database, lines: list[Latency]) -> None:
    """They are added to those in the database; inside a transaction."""
    lines.sort()  # as the sums are
    database.run_many(_ADD_LATENCIES, lines)


def subtracted(sums: Sums, others: Sums) -> Sums:
    """`sums` less `others`; what is only in the others is there with a minus."""
    found = dict(sums)
    for key, values in others.items():
        minus = tuple(-value for value in values)
        found[key] = tuple(map(add, found[key], minus)) if key in found else minus
    return found


def store(database: Database, sums: Sums) -> None:
    """The sums are added to those in the database, by minute, hour and day; inside a transaction."""
    days: Sums = {}
    hours: Sums = {}
    for (start_s, labels), values in sums.items():
        key = (start_s - start_s % DAY_S, labels)
        days[key] = tuple(map(add, days[key], values)) if key in days else values
        key = (
            start_s - start_s % HOUR_S,
            ("", "", "", labels[3], labels[4], "", labels[6], "", labels[8]),
        )
        hours[key] = tuple(map(add, hours[key], values)) if key in hours else values
    lines = [
        (span_s, start_s, *labels, *values)
        for span_s, some in ((MINUTE_S, sums), (HOUR_S, hours), (DAY_S, days))
        for (start_s, labels), values in some.items()
    ]
    # In order, so that two processes that write the same lines cannot wait for each other.
    lines.sort()
    database.run_many(_ADD, lines)


def _sum(rows: list[tuple[Any, ...]]) -> tuple[int, ...]:
    # In the order of the columns after the labels.
    columns = tuple(zip(*rows, strict=True))
    attempts, errors, estimated, costs, latencies, first = _facts(columns)
    unpriced = costs.count(None)
    arrived = [ms for ms in first if ms is not None]
    succeeded = errors.count("")
    failed = len(rows) - succeeded
    if failed:
        latencies = [ms for ms, error in zip(latencies, errors, strict=True) if not error]
    return (
        attempts.count(1),
        len(rows),
        failed,
        unpriced,
        sum(estimated),
        *map(sum, _counts(columns)),
        sum([cost for cost in costs if cost is not None]) if unpriced else sum(costs),
        sum([int(ms * 1000.0) for ms in latencies]),
        len(arrived),
        sum([int(ms * 1000.0) for ms in arrived]),
    )


def midnight_s(at_s: float) -> int:
    """The last UTC midnight at or before a moment."""
    return int(at_s // DAY_S) * DAY_S


def spans(
    since_s: float, until_s: float, steps: tuple[int, ...] = (DAY_S, MINUTE_S)
) -> list[tuple[int, int, int]]:
    """The fewest sums of these steps, longest first, that make up [since, until): (step, from, until), in seconds.

    Both ends move outwards to whole ones of the last step; an endless span ends in the far future.
    """
    least_s = steps[-1]
    start_s = int(max(since_s, 0.0) // least_s) * least_s
    end_s = int(-(-min(until_s, END_S) // least_s)) * least_s
    return _made_of(start_s, end_s, steps)


def _made_of(start_s: int, end_s: int, steps: tuple[int, ...]) -> list[tuple[int, int, int]]:
    step_s, *shorter = steps
    first_s = -(-start_s // step_s) * step_s
    last_s = end_s // step_s * step_s
    rest = tuple(shorter)
    if first_s >= last_s:
        return _made_of(start_s, end_s, rest) if rest else []
    found = [(step_s, first_s, last_s)]
    if rest:
        found += _made_of(start_s, first_s, rest) + _made_of(last_s, end_s, rest)
    return found

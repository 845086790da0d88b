"""Usage rows added up by minute and by day. Rule: exact, so integers only; written in the transaction of the rows.

A row counts in the minute and in the UTC day in which its request arrived. Both sums are kept from
the start: minutes end with their rows, days stay, and no window that begins and ends at midnight
ever needs a minute.
"""

from __future__ import annotations

from collections import defaultdict
from operator import add, itemgetter
from typing import TYPE_CHECKING, Any, Final

from gatemill.core.call import UsageRow
from gatemill.core.errors import InvalidValue
from gatemill.ledger import queries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.ledger.database import Database

MINUTE_S = 60
DAY_S = 86_400
END_S = float(1 << 40)
SUM_MAX = 1 << 50  # of one batch; a thousand times more still fits the column

Sums = dict[tuple[int, tuple[str, ...]], tuple[int, ...]]  # by start of the span and labels

_ADD = queries.load("usage")["add_sums"]
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
_labels = itemgetter(*map(_FIELDS.index, _LABELS))
_counts = itemgetter(*map(_FIELDS.index, _COUNTS))
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


def subtracted(sums: Sums, others: Sums) -> Sums:
    """`sums` less `others`; what is only in the others is there with a minus."""
    found = dict(sums)
    for key, values in others.items():
        minus = tuple(-value for value in values)
        found[key] = tuple(map(add, found[key], minus)) if key in found else minus
    return found


def store(database: Database, sums: Sums) -> None:
    """The sums are added to those in the database, by minute and by day; inside a transaction."""
    days: Sums = {}
    for (start_s, labels), values in sums.items():
        key = (start_s - start_s % DAY_S, labels)
        days[key] = tuple(map(add, days[key], values)) if key in days else values
    lines = [(MINUTE_S, start_s, *labels, *sums[start_s, labels]) for start_s, labels in sums]
    lines += [(DAY_S, start_s, *labels, *days[start_s, labels]) for start_s, labels in days]
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


def spans(since_s: float, until_s: float) -> list[tuple[int, int, int]]:
    """The fewest sums that make up [since, until): (span, from, until), in seconds.

    Both ends move outwards to whole minutes; an endless span ends in the far future.
    """
    start_s = int(max(since_s, 0.0) // MINUTE_S) * MINUTE_S
    end_s = int(-(-min(until_s, END_S) // MINUTE_S)) * MINUTE_S
    first_s = -(-start_s // DAY_S) * DAY_S
    last_s = end_s // DAY_S * DAY_S
    if first_s >= last_s:
        return [(MINUTE_S, start_s, end_s)] if start_s < end_s else []
    found = [(DAY_S, first_s, last_s)]
    if start_s < first_s:
        found.append((MINUTE_S, start_s, first_s))
    if last_s < end_s:
        found.append((MINUTE_S, last_s, end_s))
    return found

"""A ledger with many rows, made at once. Rule: what the roll-ups hold is what the product would have put there.

Rows are made by SQLite itself, a day at a time in the order of their arrival, with 90 days, as many keys as are
given and 20 models; the sums and the counted latencies follow from the rows by SQL. Not durable: whoever
interrupts it begins anew.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from gatemill.policy.latencies import bucket

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

DAY_S = 86_400
DAYS = 90
MODELS = 20
TEAMS, USERS = 5, 25
SPANS_S = (60, 3_600, DAY_S)

_ROWS = """
WITH RECURSIVE n(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :last),
dice AS (
    -- From the number, not from random(): SQLite may look at a column more than once.
    SELECT i, i * 2654435761 % 1000003 / 1000003.0 AS a, i * 40503331 % 999983 / 999983.0 AS b,
        i * 69621 % 999979 / 999979.0 AS c, i * 7919 % 101 % 100 AS fate
    FROM n
),
drawn AS (
    -- Few keys ask most, and each asks mostly for the same models.
    SELECT i, b, c, fate, CAST(:keys * a * a AS INTEGER) AS place FROM dice
)
INSERT INTO usage (
    attempt_id, request_id, attempt, at, key_id, operation, model, provider, target_model, stream,
    status, error, input_tokens, cache_read_tokens, cache_write_tokens, input_audio_tokens,
    output_tokens, reasoning_tokens, output_audio_tokens, estimated, cost_microusd, latency_ms,
    first_token_ms, user_id, team_id, cache, version, unsettled, decision, job_id, experiment_id,
    model_version, prompt_version, trace_id, offset_ms, written_s
)
SELECT
    printf('req_%028x-1', i), printf('req_%028x', i), 1, :since_s + (i - :first) * :step_s,
    names.id, CASE WHEN fate < 85 THEN 'chat' ELSE 'embeddings' END,
    'model-' || ((place * 3 + CAST(c * 3 AS INTEGER)) % 20),
    CASE WHEN fate >= 90 THEN '' ELSE 'provider-' || ((place * 3 + CAST(c * 3 AS INTEGER)) % 4) END,
    CASE WHEN fate >= 90 THEN '' ELSE 'large-' || ((place * 3 + CAST(c * 3 AS INTEGER)) % 20) END,
    fate % 2, CASE WHEN fate < 2 THEN 502 WHEN fate = 2 THEN 429 ELSE 200 END,
    CASE WHEN fate < 2 THEN 'upstream_unavailable' WHEN fate = 2 THEN 'rate_limited' ELSE '' END,
    CAST(200 + 3000 * b AS INTEGER), CAST(500 * c AS INTEGER), 0, 0, CAST(20 + 900 * c AS INTEGER), 0, 0,
    0, CASE WHEN fate >= 90 THEN 0 ELSE CAST(100 + 9000 * b * c AS INTEGER) END,
    150 + 9000 * b * b * c, CASE WHEN fate < 3 THEN NULL ELSE 60 + 900 * b * c END,
    'user-' || (place % 25), 'team-' || (place % 5), CASE WHEN fate >= 90 THEN 'hit' ELSE '' END, '', 0,
    '', '', '', '', '', printf('%032x', i), 0.5, :since_s + (i - :first) * :step_s
FROM drawn JOIN names ON k = place
ORDER BY i
"""
_MINUTES = """
INSERT INTO usage_sums
SELECT 60, CAST(at / 60 AS INTEGER) * 60, key_id, user_id, team_id, model, provider, target_model,
    operation, version, cache, sum(attempt = 1), count(*), sum(error <> ''),
    sum(cost_microusd IS NULL), sum(estimated), sum(input_tokens), sum(cache_read_tokens),
    sum(cache_write_tokens), sum(input_audio_tokens), sum(output_tokens), sum(reasoning_tokens),
    sum(output_audio_tokens), coalesce(sum(cost_microusd), 0),
    sum(CASE WHEN error = '' THEN CAST(latency_ms * 1000 AS INTEGER) ELSE 0 END),
    count(first_token_ms), coalesce(sum(CAST(first_token_ms * 1000 AS INTEGER)), 0)
FROM usage WHERE at >= :since_s AND at < :until_s
GROUP BY 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
"""
_WIDER = """
INSERT INTO usage_sums
SELECT {span}, :since_s + (start_s - :since_s) / {span} * {span}, {labels}, sum(requests),
    sum(attempts), sum(failed), sum(unpriced), sum(estimated), sum(input_tokens),
    sum(cache_read_tokens), sum(cache_write_tokens), sum(input_audio_tokens), sum(output_tokens),
    sum(reasoning_tokens), sum(output_audio_tokens), sum(cost_microusd), sum(latency_us),
    sum(first_tokens), sum(first_token_us)
FROM usage_sums WHERE span_s = 60 AND start_s >= :since_s AND start_s < :until_s
GROUP BY 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
"""
_LABELS = {
    3_600: "'', '', '', model, provider, '', operation, '', cache",
    DAY_S: "key_id, user_id, team_id, model, provider, target_model, operation, version, cache",
}
_LATENCIES = """
INSERT INTO latency_sums
SELECT {span}, CAST(at / {span} AS INTEGER) * {span}, {labels}, '{measure}', bucket({ms}), count(*)
FROM usage WHERE at >= :since_s AND at < :until_s AND error = '' AND {ms} IS NOT NULL
GROUP BY 2, 3, 4, 6
"""


def fill(
    path: Path, key_ids: Sequence[str], rows: int, now_s: float, said: Callable[[int], None]
) -> None:
    """The database, whose server is not running, has so many rows more; `said` hears of each day."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1000000"):
        connection.execute(f"PRAGMA {pragma}")
    connection.create_function("bucket", 1, bucket, deterministic=True)
    connection.execute("CREATE TEMP TABLE names (k INTEGER PRIMARY KEY, id TEXT)")
    connection.executemany("INSERT INTO names VALUES (?, ?)", enumerate(key_ids))
    first_s = int(now_s // DAY_S) * DAY_S - (DAYS - 1) * DAY_S
    for day in range(DAYS):
        since_s = first_s + day * DAY_S
        # The last day ends now.
        until_s = min(since_s + DAY_S, now_s)
        first, last = rows * day // DAYS, rows * (day + 1) // DAYS
        span = {"since_s": since_s, "until_s": until_s}
        step_s = (until_s - since_s) / max(1, last - first)
        connection.execute("BEGIN")
        asked = {"first": first, "last": last, "step_s": step_s, "keys": len(key_ids)}
        if last > first:
            connection.execute(_ROWS, span | asked)
        _roll_up(connection, span)
        connection.execute("COMMIT")
        said(day + 1)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()


def _roll_up(connection: sqlite3.Connection, span: dict[str, float]) -> None:
    connection.execute(_MINUTES, span)
    for span_s, labels in _LABELS.items():
        connection.execute(_WIDER.format(span=span_s, labels=labels), span)
    for span_s in SPANS_S:
        for measure, column in (("latency", "latency_ms"), ("first_token", "first_token_ms")):
            text = _LATENCIES.format(span=span_s, labels="'', ''", measure=measure, ms=column)
            connection.execute(text, span)
        if span_s > 60:
            text = _LATENCIES.format(
                span=span_s, labels="model, provider", measure="latency", ms="latency_ms"
            )
            connection.execute(text, span)

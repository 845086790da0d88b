"""What a soak has to show. Rule: pure; each broken promise is one sentence with its figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field

from bench.soak_inside import Inside
from bench.soak_mix import EMPTY_HANDED, LEFT, RESENT, TARGETS
from bench.soak_provider import Count
from bench.soak_stage import INPUT_USD, OUTPUT_USD, Booked

if TYPE_CHECKING:
    from collections.abc import Mapping

LONG_MINUTES = 30.0  # from here on the slope is judged; before, it is mostly noise
SLOPE_MB_PER_H_MAX = 1.0
FDS_MAX, TASKS_MAX = 5, 2  # more or fewer at rest
THREADS_MAX = 2  # the same; pools begin a thread when several are needed at once
WAL_MB_MAX, JOURNAL_MB_MAX = 80.0, 8.0


class Rest(Struct, frozen=True):
    """The gateway while nobody asks."""

    rss_mb: float
    fds: int
    threads: int
    inside: Inside


class Figures(Struct):
    """All that was measured."""

    minutes: float
    rate_per_s: float
    operations: int = 0
    scripted: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    left_out: int = 0
    before: Rest | None = None  # after warm-up
    after: Rest | None = None
    slope_mb_per_h: float = 0.0
    slope_error: float = 0.0
    anonymous_mb_per_h: float = 0.0
    anonymous_error: float = 0.0
    rss_mb_max: float = 0.0
    fds_max: int = 0
    wal_mb_max: float = 0.0
    journal_mb_max: float = 0.0
    cpu_share: float = 0.0  # of one core
    metered: dict[str, Count] = field(default_factory=dict)
    booked: dict[str, Booked] = field(default_factory=dict)
    counters: dict[str, float] = field(default_factory=dict)  # of /metrics, that must be 0
    loud: list[str] = field(default_factory=list)  # lines of the log that say error
    exit_code: int = 0


def broken(found: Figures) -> list[str]:
    """Each promise that was not kept; none is the verdict that one wants."""
    said = [f"{count} x {name} failed" for name, count in found.failed.items()]
    said += [f"{name} is {value:g}" for name, value in found.counters.items() if value]
    if found.minutes >= LONG_MINUTES and (
        found.slope_mb_per_h - 2 * found.slope_error > SLOPE_MB_PER_H_MAX
    ):
        said.append(f"memory grows by {found.slope_mb_per_h:.2f} MB an hour")
    said += _rests(found.before, found.after)
    if found.wal_mb_max > WAL_MB_MAX:
        said.append(f"the database's log grew to {found.wal_mb_max:.0f} MB")
    if found.journal_mb_max > JOURNAL_MB_MAX:
        said.append(f"the journal grew to {found.journal_mb_max:.0f} MB")
    said += accounts(found.metered, found.booked)
    if found.loud:
        said.append(f"{len(found.loud)} lines of the log say error")
    if found.exit_code:
        said.append(f"the gateway ended with {found.exit_code}")
    return said


def _rests(before: Rest | None, after: Rest | None) -> list[str]:
    if before is None or after is None:
        return ["the gateway was never seen at rest"]
    said = []
    if abs(after.fds - before.fds) > FDS_MAX:
        said.append(f"open files went from {before.fds} to {after.fds}")
    if abs(after.inside.tasks - before.inside.tasks) > TASKS_MAX:
        said.append(f"tasks went from {before.inside.tasks} to {after.inside.tasks}")
    if abs(after.threads - before.threads) > THREADS_MAX:
        said.append(f"threads went from {before.threads} to {after.threads}")
    return said


def accounts(metered: Mapping[str, Count], booked: Mapping[str, Booked]) -> list[str]:
    """Where the provider's account and the ledger differ."""
    said = []
    names = {model: name for name, (_, model) in TARGETS.items()}
    for model in sorted(metered.keys() | booked.keys()):
        said += _account(names.get(model, ""), model, metered, booked)
    return said


def _account(
    name: str, model: str, metered: Mapping[str, Count], booked: Mapping[str, Booked]
) -> list[str]:
    meter = metered.get(model, Count())
    book = booked.get(model, Booked(0, 0, 0, 0, 0))
    said = []
    low, high = book.attempts, book.attempts
    if name not in RESENT:  # whose provider, too, ends what it was sent without a word
        low -= book.unreached
    if name in LEFT:
        low = 0  # the caller left before the request was on its way
    if name in RESENT:
        high = 2 * book.attempts  # a kept connection that ends unanswered is tried once more, anew
    if not low <= meter.asked <= high:
        said.append(f"{model}: {meter.asked} attempts at the provider, {book.attempts} rows")
    if book.unsettled:
        said.append(f"{model}: {book.unsettled} rows are not settled")
    if book.cost_microusd != INPUT_USD * book.input_tokens + OUTPUT_USD * book.output_tokens:
        said.append(f"{model}: the cost is not that of its tokens")
    if name in LEFT or name in EMPTY_HANDED:
        return said  # what is charged for half an answer is an estimate
    sold = (meter.prompt_tokens, meter.completion_tokens)
    if sold != (book.input_tokens, book.output_tokens):
        bought = (book.input_tokens, book.output_tokens)
        said.append(f"{model}: the provider sold {sold} tokens, the ledger has {bought}")
    return said

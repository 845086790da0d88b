"""What became of the answers of an experiment. Rule: an outcome counts once, and sums are made by the database.

Two sources: what callers say (`feedback`), and what the rows of usage say by themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import asdict

from gatemill.core.errors import IdempotencyKeyReused, RateLimited
from gatemill.ledger import queries

if TYPE_CHECKING:
    from gatemill.core.errors import GatemillError
    from gatemill.ledger.database import Database

DROP_ROWS = 2_000  # in one transaction
NEWEST = 20_000  # attempts of an arm among which the 95th percentile is looked for
_LINES_MAX = 10_000

_SQL = queries.load("outcomes")
_READ_EXPERIMENT = queries.load("experiments")["read_experiment"]

Latency = float | None


class Outcome(Struct, frozen=True):
    """One value that somebody said."""

    experiment_id: str
    mark: str  # makes it one: said again, it is the same
    metric: str
    arm: str
    unit: str  # several values of one unit count as their mean
    request_id: str  # "" where none is named
    key_id: str
    value: float
    at: float  # Unix time
    replaces: bool = False  # said again with another value, that one counts; else it is refused


class Wanted(Struct, frozen=True):
    """Of which requests."""

    id: str  # of the experiment
    since_s: float  # Unix time
    until_s: float


class Told(Struct, frozen=True):
    """Sums of what callers said of one arm, about `center`."""

    metric: str
    arm: str
    units: int
    times: int
    center: float
    total: float
    squares: float


class Counted(Struct, frozen=True):
    """Sums over the requests of one arm, each about its `center`."""

    version: str  # the arm, and behind a slash those of experiments below it
    requests: int
    failed: int
    latency_center: float  # ms, of requests that succeeded
    latency_count: int
    latency_total: float
    latency_squares: float
    cost_center: float  # dollars, of requests whose cost is known
    cost_count: int
    cost_total: float
    cost_squares: float
    tokens_center: float
    tokens_total: float
    tokens_squares: float

    @property
    def arm(self) -> str:
        """The arm of this experiment."""
        return self.version.partition("/")[0]


class Sums(Struct, frozen=True):
    """All that is known."""

    told: list[Told]
    counted: list[Counted]


def tell(database: Database, outcome: Outcome, most: int) -> bool | GatemillError:
    """A unit of the writer: whether the outcome counts, or why it is refused.

    At most `most` outcomes of one experiment are kept.
    """
    row = asdict(outcome)
    if found := database.rows(_SQL["read_feedback"], row):
        return _again(database, outcome, found[0])
    if not database.run(_SQL["count_feedback"], {**row, "most": most}):
        return _no_room(database, outcome, most)
    if not database.run(_SQL["add_feedback"], row):
        # Another process was faster; both said the same, or the later one is told the next time.
        database.run(_SQL["uncount_feedback"], row)
    return True


def _again(database: Database, outcome: Outcome, found: dict[str, Any]) -> bool | GatemillError:
    same = all(found[name] == getattr(outcome, name) for name in found if name != "unit")
    if outcome.replaces:
        changed = database.run(_SQL["replace_feedback"], asdict(outcome))
        return same or changed > 0  # what has ended takes no other value
    if not same:
        return IdempotencyKeyReused(
            "This `idempotency_key` was used with another outcome. Use a new one.",
            param="idempotency_key",
        )
    return True


def _no_room(database: Database, outcome: Outcome, most: int) -> bool | GatemillError:
    found = database.rows(_READ_EXPERIMENT, {"id": outcome.experiment_id})
    if found and found[0]["feedback"] >= most:
        return RateLimited(
            f"{most} outcomes of this experiment are kept, and no more (experiments.feedback_max)."
            " Conclude it.",
            retry_after_s=3600.0,
        )
    return False


def drop(database: Database, experiment_id: str) -> bool:
    """A bounded number of the outcomes of an experiment are gone; whether there may be more."""
    few = {"id": experiment_id, "limit": DROP_ROWS}
    return database.run(_SQL["drop_feedback"], few) == DROP_ROWS


def sums(database: Database, wanted: Wanted) -> Sums:
    """What is known of each arm."""
    params = {**asdict(wanted), "limit": _LINES_MAX}
    told = [Told(**row) for row in database.rows(_SQL["sum_feedback"], params)]
    return Sums(told, counted(database, wanted))


def counted(database: Database, wanted: Wanted) -> list[Counted]:
    """Of that, what the rows of usage say."""
    params = {**asdict(wanted), "limit": _LINES_MAX}
    return [Counted(**row) for row in database.rows(_SQL["sum_requests"], params)]


def latency(database: Database, wanted: Wanted, arm: str) -> Latency:
    """The latency that 95 of 100 requests do not exceed, in ms; None without any."""
    slash = f"{arm}/"
    params = {"arm": arm, "arm_slash": slash, "arm_chars": len(slash), "newest": NEWEST}
    found = database.rows(_SQL["arm_latency"], asdict(wanted) | params)
    return float(found[0]["latency_ms"]) if found else None

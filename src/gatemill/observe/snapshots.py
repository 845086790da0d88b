"""The numbers of one process at a moment, and those of several processes as one.

Rule: what counts is added up, over the dead as well, so that it never falls; what is a state follows
its rule in GAUGES, over those that live. Nothing here knows Prometheus: the supervisor folds, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Labels = tuple[str, ...]
Rule = Literal["sum", "max", "min", "newest"]

# A state of all processes together: their sum, the largest, the smallest, or what was said last,
# where all of them say the same of something that they share.
GAUGES: Mapping[str, Rule] = {
    **dict.fromkeys(
        (
            "gatemill_budget_waiting",
            "gatemill_builtin_waiting",
            "gatemill_cache_bytes",
            "gatemill_cache_entries",
            "gatemill_connections_open",
            "gatemill_features_cache_entries",
            "gatemill_features_log_waiting",
            "gatemill_guard_strings_known",
            "gatemill_guard_texts_reading",
            "gatemill_jobs_slots",
            "gatemill_jobs_slots_used",
            "gatemill_knowledge_vectors_bytes",
            "gatemill_ledger_rows_pending",
            "gatemill_limiter_counters",
            "gatemill_limiter_settles_pending",
            "gatemill_local_memory_bytes",
            "gatemill_local_models",
            "gatemill_local_restarts",
            "gatemill_local_waiting",
            "gatemill_processes",
            "gatemill_recordings_waiting",
            "gatemill_requests_in_flight",
            "gatemill_target_in_flight",
            "gatemill_target_keys_resting",
            "gatemill_target_limit",
            "gatemill_target_waiting",
            "gatemill_telemetry_waiting",
            "gatemill_ui_listeners",
            "gatemill_ui_listeners",
            "gatemill_webhook_tries_running",
        ),
        "sum",
    ),
    # The worst of them: an open breaker, a store that is away, a worker that is late.
    **dict.fromkeys(
        (
            "gatemill_guard_policies",
            "gatemill_disk_bytes",
            "gatemill_disk_free_bytes",
            "gatemill_jobs_event_loop_late_seconds",
            "gatemill_jobs_heartbeat_late_seconds",
            "gatemill_limiter_away",
            "gatemill_model_targets_usable",
            "gatemill_registry_names_behind",
            "gatemill_target_state",
        ),
        "max",
    ),
    "gatemill_config_last_reload_success": "min",
    # What they share: the database's rows, the configuration.
    **dict.fromkeys(
        (
            "gatemill_alerts_open",
            "gatemill_budgets_reached",
            "gatemill_config_last_reload_timestamp_seconds",
            "gatemill_dead_letters",
            "gatemill_experiments_running",
            "gatemill_jobs",
            "gatemill_jobs_oldest_seconds",
            "gatemill_jobs_workers",
            "gatemill_registry_versions",
        ),
        "newest",
    ),
}


class Spread(Struct, array_like=True):
    """A histogram's counts by bucket, and its sum."""

    bounds: tuple[float, ...]
    counts: list[int]
    total: float

    def add(self, other: Spread) -> None:
        """The counts of `other`, which has the same bounds, are in it, too."""
        self.counts = [one + more for one, more in zip(self.counts, other.counts, strict=True)]
        self.total += other.total


class Numbers(Struct, array_like=True):
    """A family of counters or gauges, by the values of its labels."""

    text: str
    labels: Labels
    values: dict[Labels, float]


class Histograms(Struct, array_like=True):
    """A family of histograms."""

    text: str
    labels: Labels
    values: dict[Labels, Spread]


class Line(Struct, array_like=True):
    """What was counted of one (operation, model, provider, status)."""

    requests: int
    duration: Spread
    overhead: Spread
    first_token: Spread
    tokens: list[int]
    cost_microusd: int

    def add(self, other: Line) -> None:
        """What `other` has counted is in it, too."""
        self.requests += other.requests
        self.duration.add(other.duration)
        self.overhead.add(other.overhead)
        self.first_token.add(other.first_token)
        self.tokens = [one + more for one, more in zip(self.tokens, other.tokens, strict=True)]
        self.cost_microusd += other.cost_microusd


class Snapshot(Struct, array_like=True):
    """All numbers of a process."""

    at_s: float  # Unix time
    lines: dict[tuple[str, str, str, int], Line] = {}
    errors: dict[str, int] = {}
    attempts: dict[tuple[str, str], int] = {}
    unpriced: dict[str, int] = {}
    counters: dict[str, Numbers] = {}
    histograms: dict[str, Histograms] = {}
    gauges: dict[str, Numbers] = {}


def together(living: Sequence[Snapshot], dead: Snapshot | None = None) -> Snapshot:
    """One snapshot for all of them. The arguments are used up: their parts go on in it."""
    found = Snapshot(max((one.at_s for one in living), default=0.0))
    for one in living if dead is None else (dead, *living):
        _add_all(found.lines, one.lines, Line.add)
        for name in ("errors", "attempts", "unpriced"):
            _sum(getattr(found, name), getattr(one, name))
        _add_all(found.counters, one.counters, lambda old, new: _sum(old.values, new.values))
        _add_all(
            found.histograms,
            one.histograms,
            lambda old, new: _add_all(old.values, new.values, Spread.add),
        )
    for one in sorted(living, key=lambda each: each.at_s):
        for name, numbers in one.gauges.items():
            rule = GAUGES.get(name, "sum")
            _add_all(found.gauges, {name: numbers}, _RULES[rule])
    return found


def _add_all(old: dict[Any, Any], new: Mapping[Any, Any], add: Callable[[Any, Any], None]) -> None:
    for key, value in new.items():
        if key in old:
            add(old[key], value)
        else:
            old[key] = value


def _sum(old: dict[Any, Any], new: Mapping[Any, Any]) -> None:
    for key, value in new.items():
        old[key] = old.get(key, 0) + value


def _most(old: Numbers, new: Numbers) -> None:
    for key, value in new.values.items():
        old.values[key] = max(value, old.values.get(key, value))


def _least(old: Numbers, new: Numbers) -> None:
    for key, value in new.values.items():
        old.values[key] = min(value, old.values.get(key, value))


def _last(old: Numbers, new: Numbers) -> None:
    old.values = new.values


_RULES: Mapping[Rule, Callable[[Numbers, Numbers], None]] = {
    "sum": lambda old, new: _sum(old.values, new.values),
    "max": _most,
    "min": _least,
    "newest": _last,
}

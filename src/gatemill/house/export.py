"""The numbers of parts that are not the gateway's own -> metrics. Rule: read when scraped."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from gatemill.house.export_alerts import export_alerts
from gatemill.house.export_features import export_features
from gatemill.house.export_jobs import export_jobs
from gatemill.house.guards import export_guards
from gatemill.house.knowledge import export_knowledge
from gatemill.house.local import export_local
from gatemill.house.telemetry import export_telemetry
from gatemill.local.builtin.engine import Builtins
from gatemill.observe.metrics import OTHER, Labelled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gatemill.house.root import House
    from gatemill.observe.lines import LineWriter
    from gatemill.observe.metrics import Meter


def export(home: House, writer: LineWriter) -> None:
    """The counts of ledger, log, targets, limits and cache become metrics."""
    meter = home.gateway.meter
    before = _totals(meter)
    access, ledger = home.access, home.ledger.counters
    meter.gauges["gatemill_ledger_rows_pending"] = (
        "Usage rows in the journal that are not yet in the database.",
        lambda: ledger.rows_pending,
    )
    for name, text in _LEDGER_COUNTERS.items():
        meter.counters[f"gatemill_ledger_{name}"] = (text, partial(getattr, ledger, name))
    meter.counters["gatemill_log_batches_dropped"] = (
        "Batches of log lines dropped because nobody read them.",
        lambda: writer.dropped,
    )
    meter.counters["gatemill_access_lines_dropped"] = (
        "Request lines dropped because too many came between two flushes.",
        lambda: access.dropped,
    )
    if home.notifier is not None:
        for name, text in _ALERT_COUNTERS.items():
            meter.counters[f"gatemill_alerts_{name}"] = (
                text,
                partial(getattr, home.notifier, name),
            )
    export_alerts(meter, home)
    _targets(meter, home)
    _limits(meter, home)
    _cache(meter, home)
    export_guards(meter, home.gateway.guards, home.lasting.readers)
    _experiments(meter, home)
    _registry(meter, home)
    export_jobs(meter, home.jobs, home.ledger)
    export_features(meter, home)
    export_knowledge(meter, home.rooms.knowledge)
    export_local(meter, home.lasting.shelf)
    _builtin(meter, home)
    export_telemetry(meter, home.gateway.tracer)
    meter.gauges["gatemill_processes"] = ("Processes whose numbers these are.", lambda: 1)
    _go_on(meter, before)


def _totals(meter: Meter) -> dict[str, dict[tuple[str, ...], float]]:
    """What every counter says now, by its labels."""
    found = {name: {**each.read()} for name, each in meter.labelled_counters.items()}
    return found | {name: {(): float(read())} for name, (_, read) in meter.counters.items()}


def _go_on(meter: Meter, before: Mapping[str, Mapping[tuple[str, ...], float]]) -> None:
    """Counters of what a reload has made anew go on from what they said: Prometheus takes less for a new start."""
    now = _totals(meter)
    for name, was in before.items():
        # Not label by label: what only a pattern knows from now on counts among others.
        if sum(now[name].values()) >= sum(was.values()):
            continue
        lost = {labels: max(0.0, said - now[name].get(labels, 0)) for labels, said in was.items()}
        if name in meter.counters:
            text, read = meter.counters[name]
            meter.counters[name] = (text, partial(_more, read, lost[()]))
        else:
            each = meter.labelled_counters[name]
            read_all = partial(_more_of_each, each.read, lost)
            meter.labelled_counters[name] = Labelled(each.text, each.labels, read_all)


def _more(read: Callable[[], float], lost: float) -> float:
    return read() + lost


def _more_of_each(
    read: Callable[[], Mapping[tuple[str, ...], float]], lost: Mapping[tuple[str, ...], float]
) -> dict[tuple[str, ...], float]:
    found = {**read()}
    for labels, count in lost.items():
        found[labels] = found.get(labels, 0) + count
    return found


def _builtin(meter: Meter, home: House) -> None:
    own = [each for each in home.transports.values() if isinstance(each, Builtins)]
    meter.gauges["gatemill_builtin_waiting"] = (
        "Large requests to built-in models that wait or are being answered.",
        lambda: sum(each.waiting for each in own),
    )
    meter.counters["gatemill_builtin_refused"] = (
        "Requests to built-in models that found no room.",
        lambda: sum(each.refused for each in own),
    )


def _registry(meter: Meter, home: House) -> None:
    table = home.lasting.table
    meter.gauges["gatemill_registry_versions"] = (
        "Versions of models and prompts that are served.",
        lambda: sum(len(entry.versions) for entry in table.entries.values()),
    )
    meter.gauges["gatemill_registry_names_behind"] = (
        "Names that go on meaning an older version here, because the newer one cannot be loaded.",
        lambda: len(table.failed),
    )


def _experiments(meter: Meter, home: House) -> None:
    table = home.lasting.splits
    meter.gauges["gatemill_experiments_running"] = (
        "Experiments that split callers.",
        lambda: sum(one.state == "running" for one in table.known.values()),
    )
    meter.counters["gatemill_experiments_arms_stopped"] = (
        "Arms of experiments that a guardrail has stopped.",
        lambda: table.stopped,
    )
    meter.counters["gatemill_experiments_outcomes"] = (
        "Outcomes of experiments that were kept.",
        lambda: table.outcomes,
    )


def _targets(meter: Meter, home: House) -> None:
    lanes, now = home.lasting.lanes, home.gateway.now
    configured = home.gateway.routes.labels
    meter.counters["gatemill_target_forgotten"] = (
        "Targets whose health was forgotten to make room for others.",
        lambda: lanes.forgotten,
    )

    def read(field: str) -> dict[tuple[str, ...], float]:
        found: dict[tuple[str, ...], float] = {}
        for one in lanes.metrics(now()):
            # Names that only a pattern knows are the callers' words: together they are one series.
            known = one.label in configured or one.label.startswith("function/")
            label = (one.label if known else OTHER,)
            found[label] = found.get(label, 0) + getattr(one, field)
        return found

    for field, text in _LANE_GAUGES.items():
        meter.labelled_gauges[f"gatemill_target_{field}"] = Labelled(
            text, ("target",), partial(read, field)
        )
    for field, text in _LANE_COUNTERS.items():
        meter.labelled_counters[f"gatemill_target_{field}"] = Labelled(
            text, ("target",), partial(read, field)
        )


def _limits(meter: Meter, home: House) -> None:
    admission = home.gateway.admission
    meter.labelled_counters["gatemill_limit_refusals"] = Labelled(
        "Requests refused by a limit or a budget.",
        ("scope", "limit"),
        lambda: {(scope, kind): count for (scope, kind), count in admission.refusals.items()},
    )
    meter.gauges["gatemill_budget_waiting"] = (
        "Requests that wait for money held by others.",
        lambda: admission.waiting,
    )
    limiter = home.lasting.limiter
    for name, text in _LIMITER_GAUGES.items():
        if hasattr(limiter, name):
            meter.gauges[f"gatemill_limiter_{name}"] = (text, partial(getattr, limiter, name))
    for name, text in _LIMITER_COUNTERS.items():
        if hasattr(limiter, name):
            meter.counters[f"gatemill_limiter_{name}"] = (text, partial(getattr, limiter, name))
    shadows = home.lasting.shadows
    meter.counters["gatemill_shadow_dropped"] = (
        "Copies not sent, because as many as may were under way.",
        lambda: shadows.dropped,
    )


def _cache(meter: Meter, home: House) -> None:
    gateway = home.gateway
    parts: dict[str, tuple[object, dict[str, str]]] = {
        "cache": (gateway.recall, _RECALL_COUNTERS),
        "cache_store": (home.lasting.answers, _STORE_COUNTERS),
        "cache_streams": (gateway.recall.space, _SPACE_COUNTERS),
        "idempotency": (gateway.idempotency, _IDEMPOTENCY_COUNTERS),
    }
    for room, (part, names) in parts.items():
        for name, text in names.items():
            if hasattr(part, name):
                meter.counters[f"gatemill_{room}_{name}"] = (text, partial(getattr, part, name))
    for name, text in _STORE_GAUGES.items():
        answers = home.lasting.answers
        if hasattr(answers, name):
            meter.gauges[f"gatemill_cache_{name}"] = (text, partial(getattr, answers, name))


_LEDGER_COUNTERS = {
    "rows_written": "Usage rows committed.",
    "rows_lost": "Usage rows that neither journal nor memory could hold.",
    "rows_rejected": "Usage rows the database refused; they are in journal/rejected.txt.",
    "journal_errors": "Writes that the journal refused.",
    "commit_errors": "Transactions that failed; their rows are tried again.",
    "rows_unsettled": "Attempts of dead processes, written down as the most they can have cost.",
    "holds_missed": "Attempts sent without being kept for a crash, because there was no room.",
    "tidy_errors": "Rounds of tidying that the database refused.",
    "log_cuts": "Times that SQLite's log was too long, because somebody always reads, and was cut back.",
    "log_cuts_missed": "Tries to cut that log back in vain, because one read went on; the next comes after 5 s.",
}
_ALERT_COUNTERS = {
    "delivered": "Alerts that the webhook took.",
    "failed": "Tries to deliver an alert that failed; it is tried again.",
}
_LANE_GAUGES = {
    "state": "Breaker: 0 closed, 1 half-open, 2 open.",
    "in_flight": "Attempts under way.",
    "limit": "Attempts that may be under way; it shrinks when the target is overloaded.",
    "waiting": "Requests that wait for their turn.",
    "keys_resting": "Provider keys left out for a while after a refusal.",
}
_LANE_COUNTERS = {
    "opened": "How often the breaker opened.",
    "closed": "How often it closed again.",
    "probes": "Probes while it was half-open.",
    "retries": "Attempts repeated at the same target.",
    "retries_refused": "Repeats that the retry budget did not allow.",
    "queue_full": "Requests turned away, because as many wait as may.",
}
_LIMITER_GAUGES = {
    "away": "1 while the shared counters are away and this process counts by itself.",
    "counters": "Counters in memory.",
    "settles_pending": "Settlements not yet with the shared counters.",
}
_LIMITER_COUNTERS = {
    "overruns": "Requests that used more than was set aside for them.",
    "evicted": "Idle counters dropped to make room.",
    "settled_twice": "Settlements that came twice: a bug.",
    "calls": "Commands sent to Redis.",
    "timeouts": "Times that Redis was silent for too long.",
    "refused_away": "Requests refused because Redis was away and money must not be guessed.",
    "settles_dropped": "Settlements given up because too many waited; the worst case is booked.",
    "swept": "Holds of dead processes that were ended.",
}
_RECALL_COUNTERS = {
    "hits": "Answers given from the cache.",
    "misses": "Requests to cached models that had to be asked.",
    "coalesced": "Requests that shared the answer of an equal one under way.",
    "stale": "Answers given although no longer fresh, because every target failed.",
    "too_large": "Answers not kept because of their size.",
    "embed_failures": "Prompts whose vector could not be had.",
}
_SPACE_COUNTERS = {
    "overflowed": "Streams not recorded to their end, because too many were under way.",
    "given_up": "Listeners cut off because they read too slowly.",
}
_STORE_COUNTERS = {
    "evicted": "Answers that made room for others.",
    "refused": "Answers that the store had no room for.",
    "failures": "Questions to Redis that it did not answer.",
}
_IDEMPOTENCY_COUNTERS = {
    "replayed": "Answers given again for an Idempotency-Key.",
    "too_large": "Answers too large to keep for an Idempotency-Key.",
    "not_stored": "Answers that the database did not take.",
}
_STORE_GAUGES = {
    "bytes": "Bytes of kept answers.",
    "entries": "Kept answers.",
}

"""When something is wrong for long enough that people should hear of it, and when it is over.

Rule: time is an argument. A finding begins when its value has been at its threshold or beyond for a
while, and goes on until the value is clearly below: what moves about the threshold is one finding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

CRITICAL, WARNING = "critical", "warning"
CLEAR_SHARE = 0.95  # of the threshold: below it a finding is over
SUBJECTS_MAX = 100  # of one rule, the worst first; an outage of everything needs no more words


class Rule(Struct, frozen=True):
    """What a rule says to people."""

    severity: str
    summary: str
    remedy: str


RULES = {
    "ErrorRatio": Rule(
        WARNING,
        "Too many requests fail with a status of 500 or more.",
        "See which provider fails: gatemill usage --by provider,model.",
    ),
    "NoHealthyProvider": Rule(
        CRITICAL,
        "No target of this model takes requests.",
        "Add a fallback to the model, or repair its providers: gatemill check --live.",
    ),
    "BreakerOpen": Rule(
        WARNING,
        "This target has failed so often that it is left alone.",
        "Look at the provider's status and at its key; traffic goes to other targets.",
    ),
    "LatencyP95": Rule(
        WARNING,
        "One request in twenty takes longer than this, in seconds.",
        "Send slow models' traffic elsewhere, or raise alerts.latency_p95_s if answers are long.",
    ),
    "QueueOldestAge": Rule(
        WARNING,
        "A job of this queue has waited for so long, in seconds.",
        "Start more workers: gatemill worker; see that the queue is not paused: gatemill jobs queues.",
    ),
    "DlqGrowing": Rule(
        WARNING,
        "So many jobs have died lately.",
        "See why, mend it and run them again: gatemill jobs dlq ls.",
    ),
    "WebhookFailing": Rule(
        WARNING,
        "This share of tries to deliver webhooks fails.",
        "See whose endpoint fails: gatemill webhooks deliveries; they are tried again by themselves.",
    ),
    "LedgerBehind": Rule(
        CRITICAL,
        "Usage rows do not reach the database, or were lost.",
        "See that the database answers and the disk has room; rows wait in the journal meanwhile.",
    ),
    "ConfigReloadFailed": Rule(
        WARNING,
        "The last configuration was refused; the one before it is in effect.",
        "Run gatemill check, mend the file, and reload: the next start would fail.",
    ),
    "DiskNearlyFull": Rule(
        CRITICAL,
        "This share of the disk with the data folder is in use.",
        "Make room, or keep less: stores.usage_retention_days, recordings.bytes_max, jobs.keep_days.",
    ),
    "EventLoopLag": Rule(
        WARNING,
        "Timers of this process fire so late, in seconds.",
        "Give it a core of its own, or start more: gatemill serve --workers 2.",
    ),
}


def runbook(name: str) -> str:
    """Where the page about a rule stands, from the root of the repository."""
    words = "".join(f"-{char.lower()}" if char.isupper() else char for char in name)
    return f"docs/runbooks/{words.removeprefix('-')}.md"


class Reading(Struct, frozen=True):
    """What a rule sees now. At `threshold` or beyond, something is wrong."""

    name: str
    subject: str
    value: float
    threshold: float


class Finding(Struct, frozen=True):
    """Something that has been wrong for long enough."""

    name: str
    subject: str
    severity: str
    value: float
    threshold: float
    for_s: float  # for how long by now


class _State(Struct):
    since_s: float  # when it was first seen wrong, of this time
    is_open: bool = False


class Watch:
    """What one process has seen so far. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.left_out = 0  # readings beyond SUBJECTS_MAX, so far
        # At most SUBJECTS_MAX for each rule; written by see.
        self._states: dict[tuple[str, str], _State] = {}

    def see(
        self,
        readings: Sequence[Reading],
        unknown: Collection[str],
        now_s: float,
        for_s: float,
    ) -> list[Finding]:
        """What has been wrong for `for_s`.

        Of the rules in `unknown` nothing could be read: what was wrong stays so. What another rule
        says nothing of any longer is over.
        """
        seen: dict[tuple[str, str], _State] = {
            key: state for key, state in self._states.items() if key[0] in unknown
        }
        found = []
        for one in self._worst(readings):
            key = one.name, one.subject
            state = self._states.get(key)
            least = one.threshold * CLEAR_SHARE if state and state.is_open else one.threshold
            if one.value < least:
                continue
            state = seen[key] = state or _State(now_s)
            state.is_open = state.is_open or now_s - state.since_s >= for_s
            if state.is_open:
                severity, held_s = RULES[one.name].severity, max(0.0, now_s - state.since_s)
                found.append(
                    Finding(one.name, one.subject, severity, one.value, one.threshold, held_s)
                )
        self._states = seen
        return found

    def _worst(self, readings: Sequence[Reading]) -> list[Reading]:
        by_rule: dict[str, list[Reading]] = {}
        for one in readings:
            if one.value >= one.threshold * CLEAR_SHARE:
                by_rule.setdefault(one.name, []).append(one)
        worst = []
        for some in by_rule.values():
            some.sort(key=lambda one: -one.value)  # stable: the same ones each time
            worst += some[:SUBJECTS_MAX]
            self.left_out += max(0, len(some) - SUBJECTS_MAX)
        return worst


def quantile(bounds: Sequence[float], counts: Sequence[int], share: float) -> float | None:
    """The value below which `share` of what was counted lies; None of nothing.

    `counts` has one bucket more than `bounds`. Within a bucket values are taken to lie evenly, as
    Prometheus' histogram_quantile does; beyond the last bound, that bound is given.
    """
    total = sum(counts)
    if total <= 0:
        return None
    wanted, below, least = share * total, 0, 0.0
    for bound, count in zip(bounds, counts, strict=False):
        if count and below + count >= wanted:
            return least + (bound - least) * max(0.0, wanted - below) / count
        below, least = below + count, bound
    return bounds[-1]

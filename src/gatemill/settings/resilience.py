"""Options of retries, breakers and queues. Rule: values only."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gatemill.settings.section import Count, Seconds, Section, Share


class Breaker(Section):
    """When a target that fails is left alone, and for how long."""

    window_s: Seconds = Field(30.0, description="Span over which failures are counted.")
    failure_share: Share = Field(
        0.5, description="Share of failed attempts in the window at which it opens."
    )
    attempts_min: Count = Field(10, description="Attempts in the window before the share counts.")
    failures: Count | None = Field(
        None, le=1000, description="Failures in the window at which it opens, whatever their share."
    )
    open_s: Seconds = Field(
        10.0,
        description="Time it stays open, after which one probe decides; it doubles with each failed probe.",
    )
    open_max_s: Seconds = Field(300.0, description="Longest time it stays open.")
    ramp_s: float = Field(
        10.0,
        ge=0,
        le=3600,
        description="Time in which a recovered target gets its full share again.",
    )
    last_target: Literal["try", "refuse"] = Field(
        "try",
        description="What happens when every target of a model is open: `try` asks the one that is due first, within its room, and learns nothing from it; `refuse` is 503.",
    )


class Retries(Section):
    """How often a failed attempt is followed by another."""

    attempts_max: int = Field(
        3, ge=1, le=10, description="Most attempts for one request, over all targets."
    )
    budget_share: Share = Field(
        0.2, description="Most retries of a target, as a share of the requests sent to it."
    )
    budget_floor: int = Field(
        3, ge=0, le=1000, description="Retries of a target that are allowed beyond that share."
    )
    backoff_s: Seconds = Field(
        0.25, description="Longest pause before the first retry of the same target; it doubles."
    )
    backoff_max_s: Seconds = Field(8.0, description="Longest pause before any retry.")
    retry_after_max_s: Seconds = Field(
        20.0,
        description="Longest `Retry-After` of a provider that is waited for; beyond it the request fails.",
    )


class Queueing(Section):
    """How many requests a target gets at once, and how many wait for it."""

    concurrency_max: Count = Field(
        256, description="Most requests at once; fewer when the target shows that it is overloaded."
    )
    waiting_max: int = Field(256, ge=0, le=100_000, description="Most requests that wait.")
    wait_s: float = Field(30.0, ge=0, le=3600, description="Longest wait.")

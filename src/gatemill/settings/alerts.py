"""Options of alerts: who is told, and from where on something is wrong. Rule: values only."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from gatemill.policy.incidents import RULES
from gatemill.settings.secret import Secret
from gatemill.settings.section import Count, Seconds, Section, Share, Url


def _rule(value: str) -> str:
    if value not in RULES:
        raise ValueError(f"no such rule; there are {', '.join(RULES)}")
    return value


AlertName = Annotated[str, AfterValidator(_rule)]


class Alerts(Section):
    """Who is told when a budget is used up or something goes wrong, and from where on it is wrong."""

    webhook: Url | None = Field(None, description="URL that gets a signed POST for every alert.")
    secret: Secret | None = Field(
        None, description="Signing secret, `whsec_` and base64; needed with `webhook`."
    )
    watch: bool = Field(
        default=True, description="Whether this process watches its own numbers for incidents."
    )
    off: tuple[AlertName, ...] = Field((), description="Rules that are switched off, by name.")
    every_s: float = Field(15.0, ge=0.05, le=300, description="Between two looks at the numbers.")
    window_s: float = Field(
        300.0, ge=1, le=3600, description="How far shares, percentiles and growth look back."
    )
    for_s: float = Field(
        60.0, ge=0, le=86_400, description="How long something is wrong before an incident opens."
    )
    quiet_s: float = Field(
        120.0,
        ge=0.1,
        le=86_400,
        description="How long no process has seen it before the incident closes; more than `every_s`.",
    )
    requests_min: Count = Field(
        20, description="Requests in the window before `error_share` and `latency_p95_s` count."
    )
    error_share: Share = Field(
        0.1, description="Share of requests with a status of 500 or more (ErrorRatio)."
    )
    latency_p95_s: Seconds = Field(
        60.0, description="95th percentile of whole requests (LatencyP95)."
    )
    queue_age_s: Seconds = Field(
        300.0, description="How long the oldest job of a queue has waited (QueueOldestAge)."
    )
    dead_letters: Count = Field(10, description="Jobs that die within the window (DlqGrowing).")
    webhook_error_share: Share = Field(
        0.5,
        description="Share of at least 10 tries to deliver webhooks that fail (WebhookFailing).",
    )
    ledger_rows: Count = Field(
        5_000, description="Usage rows that are not yet in the database (LedgerBehind)."
    )
    loop_lag_s: float = Field(
        0.25, gt=0, le=1, description="99th percentile of how late timers fire (EventLoopLag)."
    )
    disk_share: Share = Field(
        0.9, description="Share of the data folder's disk that is in use (DiskNearlyFull)."
    )

    @model_validator(mode="after")
    def _stays_open(self) -> Self:
        if self.quiet_s <= self.every_s:
            raise ValueError(
                f"incidents would close between two looks: quiet_s is {self.quiet_s:g}, every_s"
                f" {self.every_s:g}; make quiet_s the larger one"
            )
        return self

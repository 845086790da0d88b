"""Options of features. Rule: values only."""

from __future__ import annotations

from pydantic import Field

from gatemill.settings.section import Count, Seconds, Section, Url


class Feast(Section):
    """A Feast feature server, for sets whose source is `feast`."""

    url: Url = Field(description="Its address, such as `http://127.0.0.1:6566`.")
    timeout_s: Seconds = Field(1.0, description="Longest time for one question to it.")


class Features(Section):
    """What is known of users and other entities."""

    budget_ms: Count = Field(
        10,
        le=10_000,
        description="Longest time that a request waits for features; then it gets the defaults.",
    )
    cache_s: float = Field(
        5.0, ge=0, le=3600, description="How long values are kept in memory; 0 reads every time."
    )
    cache_entries: Count = Field(
        10_000, le=1_000_000, description="Most entities whose values are kept in memory."
    )
    history_days: Count = Field(
        400, le=36_500, description="Days that values of the past can be read."
    )
    log_days: Count = Field(
        90, le=36_500, description="Days that the log says what requests were given."
    )
    log_rows_max: Count = Field(1_000_000, description="Most requests in that log.")
    feast: Feast | None = Field(None, description="A Feast feature server.")

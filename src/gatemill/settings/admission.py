"""Options of admission: what callers may use, what is counted where. Rule: values only."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gatemill.settings.section import Amount, Count, Dollars, Section, Share


class Budget(Section):
    """Money that may be spent in a calendar period, UTC."""

    usd: Amount = Field(description="Dollars.")
    hard: bool = Field(
        default=True,
        description="Whether requests are refused beyond it; otherwise it only alerts.",
    )
    alert_at: tuple[Share, ...] = Field(
        (0.8, 1.0), description="Shares of the budget at which an alert is sent."
    )


class Budgets(Section):
    """Budgets by period; each is counted by itself."""

    day: Budget | None = Field(None, description="From midnight, UTC.")
    week: Budget | None = Field(None, description="From Monday, UTC.")
    month: Budget | None = Field(None, description="From the first of the month, UTC.")
    total: Budget | None = Field(None, description="For ever.")


class Allowance(Section):
    """What a key, or a model as a whole, may use."""

    requests_per_minute: Count | None = Field(None, description="Most requests in any 60 seconds.")
    requests_per_day: Count | None = Field(None, description="Most requests in a day, UTC.")
    tokens_per_minute: Count | None = Field(
        None, description="Most tokens in any 60 seconds, prompt and answer."
    )
    concurrency: Count | None = Field(None, description="Most requests under way.")
    budgets: Budgets = Field(Budgets.model_construct(), description="Money, by period.")


class Reserve(Section):
    """What is set aside for a request before its real cost is known."""

    output_tokens: Count = Field(
        4096,
        description="Answer tokens reserved, and with a hard budget asked for, when neither the request nor the model says how many.",
    )
    image_tokens: Count = Field(
        4096, description="Prompt tokens reserved for each picture, sound or file."
    )
    wait_s: float = Field(
        5.0,
        ge=0,
        le=600,
        description="Longest wait for money that only requests under way still hold.",
    )
    unknown_price: Literal["refuse"] | Dollars = Field(
        "refuse",
        description="With a hard budget, what a token without a price counts: dollars per million, or `refuse`.",
    )


class Idempotency(Section):
    """Answers kept for requests with an `Idempotency-Key`."""

    keep_s: float = Field(86_400.0, gt=0, le=2_592_000, description="How long an answer is kept.")
    body_bytes: Count = Field(4_194_304, le=16_777_216, description="Largest answer that is kept.")

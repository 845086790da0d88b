"""The options that limit a key, a team or a user. Rule: what is not named stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.limits import Limits

Rpm = Annotated[
    int | None, typer.Option("--rpm", min=0, help="Most requests per minute; 0 is no limit.")
]
Rpd = Annotated[
    int | None, typer.Option("--rpd", min=0, help="Most requests per day, UTC; 0 is no limit.")
]
Tpm = Annotated[
    int | None, typer.Option("--tpm", min=0, help="Most tokens per minute; 0 is no limit.")
]
Concurrency = Annotated[
    int | None, typer.Option("--concurrency", min=0, help="Most requests at once; 0 is no limit.")
]
Budgets = Annotated[
    list[str] | None,
    typer.Option(
        "--budget",
        metavar="USD/PERIOD",
        help="Dollars per day, week, month or total, such as 50/month; none/month ends it. Repeatable.",
    ),
]
Hard = Annotated[
    bool | None,
    typer.Option(
        "--hard/--soft",
        help="Whether the budgets named here refuse requests, or only alert; new ones refuse.",
        show_default=False,
    ),
]


class Said(NamedTuple):
    """The options as they were given; None was not."""

    rpm: int | None
    rpd: int | None
    tpm: int | None
    concurrency: int | None
    budgets: Sequence[str] | None
    hard: bool | None

    @property
    def is_empty(self) -> bool:
        """None of them was given."""
        counts = (self.rpm, self.rpd, self.tpm, self.concurrency)
        return not self.budgets and all(count is None for count in counts)

    def over(self, before: Limits | None = None) -> Limits:
        """The limits with what was given. Raises InvalidValue."""
        from gatemill.core.limits import UNLIMITED
        from gatemill.wire import limits

        said: dict[str, Any] = {
            name: count or None
            for name, count in (
                ("requests_per_minute", self.rpm),
                ("requests_per_day", self.rpd),
                ("tokens_per_minute", self.tpm),
                ("concurrency", self.concurrency),
            )
            if count is not None
        }
        if self.budgets:
            said["budgets"] = dict(limits.option(text, "--budget") for text in self.budgets)
            for budget in said["budgets"].values():
                if budget is not None and self.hard is not None:
                    budget["hard"] = self.hard
        return limits.read(said, before or UNLIMITED)

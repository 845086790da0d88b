"""Options of experiments. Rule: values only."""

from __future__ import annotations

from pydantic import Field

from gatemill.settings.section import Count, Section


class Experiments(Section):
    """Options of experiments."""

    feedback_max: Count = Field(
        1_000_000, description="Most outcomes that are kept of one experiment."
    )
    copies_max: Count = Field(
        16, description="Most copies of requests under way to the shadow of one experiment."
    )

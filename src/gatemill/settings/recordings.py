"""Options of recordings. Rule: values only."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gatemill.settings.section import Count, Section, Share

Recorded = Literal[
    "chat",
    "completions",
    "embeddings",
    "responses",
    "messages",
    "inference",
    "predict",
    "rerank",
    "moderations",
]


class Recordings(Section):
    """Requests and answers kept for replay; none by default."""

    share: Share = Field(
        0.0, description="Share of the requests that are kept, chosen by their ids; 0 keeps none."
    )
    models: tuple[str, ...] = Field(
        ("*",), min_length=1, description="Model names or patterns whose requests are kept."
    )
    operations: tuple[Recorded, ...] = Field(
        ("chat", "completions", "responses", "messages", "predict"),
        min_length=1,
        description="Formats whose requests are kept.",
    )
    keep_days: Count = Field(7, le=3650, description="Days that they are kept.")
    body_bytes_max: Count = Field(
        262_144, le=33_554_432, description="Largest request or answer that is kept."
    )
    bytes_max: Count = Field(
        1_073_741_824, description="Most bytes of all of them; beyond it the oldest are deleted."
    )

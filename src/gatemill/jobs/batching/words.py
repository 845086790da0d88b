"""What the jobs of a batch are called and told. Rule: data only."""

from __future__ import annotations

from msgspec import Struct

BATCH, PART = "batch", "batch_part"  # the kinds


class BatchArgs(Struct, frozen=True, forbid_unknown_fields=True):
    """Which batch, and on whose account its lines are asked: its job is the house's own."""

    batch_id: str
    key_id: str


class Span(Struct, frozen=True):
    """The lines of one part."""

    first: int  # number of its first line, from 1
    last: int
    start: int  # the first byte of its first line in the file


class PartArgs(Struct, frozen=True, forbid_unknown_fields=True):
    """Which lines of which batch."""

    batch_id: str
    span: Span

"""The running experiments as this process knows them: a snapshot, replaced whole. Rule: reading it never waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gatemill.policy.experiment import Split


class Table:
    """One for the house; outlives a reload."""

    def __init__(self) -> None:
        self.splits: tuple[Split, ...] = ()  # replaced by the desk

"""What the routes of the control plane look at. Rule: one object, so that a route need not know the app."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.edge.door import Door
    from gatemill.edge.reload import Reloader
    from gatemill.observe.board import Board


class Shown:
    """What the app needs besides the door; the door itself is set once the listener is up."""

    def __init__(self, *, healthy: Callable[[], bool], open_metrics: bool) -> None:
        self.door: Door
        self.reloader: Reloader | None = None  # set with the door, where there is one
        self.board: Board | None = None  # where several processes leave their numbers
        self.healthy = healthy
        self.loading: Callable[[], bool] = lambda: False  # models that the start waits for
        self.open_metrics = open_metrics  # /metrics without a key: only where nobody else can reach

"""Routes of experiments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.edge.experiments import arms, feedback, lifecycle

if TYPE_CHECKING:
    from gatemill.edge.application import Application
    from gatemill.edge.shown import Shown


def add(app: Application, shown: Shown) -> None:
    """The routes."""
    lifecycle.add(app, shown)
    arms.add(app, shown)
    feedback.add(app, shown)

"""Jobs over HTTP: /v1/jobs, dead letters, queues, responses in the background, and the older names.

Rule: one file is one resource; whose job it is decides who may see it, and an admin sees all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.edge.admin.clerk import Clerk
from gatemill.edge.jobs import dead_letters, events, jobs, predictions, queues, responses, tasks
from gatemill.edge.jobs.counter import Counter

if TYPE_CHECKING:
    from gatemill.edge.application import Application
    from gatemill.edge.shown import Shown

__all__ = ["add"]


def add(app: Application, shown: Shown) -> None:
    """All routes of this package."""
    counter = Counter(Clerk(shown), shown)
    for resource in (jobs, predictions, events, dead_letters, queues, responses, tasks):
        resource.add(app, counter)

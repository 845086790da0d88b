"""The control plane below /api/v1, and POST /v1/explain.

Rule: one file is one resource; a change names the key that made it. Only usage, limits, requests and
explanations answer a key that is no admin's, and only about itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.edge.admin import (
    alerts,
    audit,
    budgets,
    data,
    explain,
    keys,
    logs,
    requests,
    teams,
    usage,
    users,
)
from gatemill.edge.admin.clerk import Clerk

if TYPE_CHECKING:
    from gatemill.edge.application import Application
    from gatemill.edge.shown import Shown

__all__ = ["add"]


def add(app: Application, shown: Shown) -> None:
    """All routes of this package."""
    clerk = Clerk(shown)
    for resource in (
        keys,
        teams,
        users,
        budgets,
        usage,
        requests,
        logs,
        audit,
        alerts,
        data,
        explain,
    ):
        resource.add(app, clerk)

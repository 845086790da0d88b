"""The dashboard: /ui, one file one page.

Rule: a page is a function from a question to plain data. The same data fills its template in ui/templates and
is its JSON twin at the same address with `.json`; nothing is shown that the twin has not.
To add one: write `PAGE = Page(...)` in a file here, its template in ui/templates, and name the module below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.edge.pages import (
    alerts,
    audit,
    budgets,
    dead_letters,
    doctor,
    experiments,
    job,
    jobs,
    keys,
    knowledge,
    live,
    lost,
    models,
    overview,
    people,
    playground,
    providers,
    requests,
    settings,
    webhooks,
)
from gatemill.edge.pages.frame import Frame, Group

if TYPE_CHECKING:
    from gatemill.edge.application import Application
    from gatemill.edge.shown import Shown

__all__ = ["add"]

# In the order of the navigation.
GROUPS = (
    Group("Now", (overview.PAGE, requests.PAGE, requests.DETAIL, alerts.PAGE)),
    Group(
        "Who",
        (
            *(keys.PAGE, keys.DETAIL, people.TEAMS, people.TEAM, people.USERS, people.USER),
            *(budgets.PAGE, audit.PAGE),
        ),
    ),
    Group(
        "Work",
        (jobs.PAGE, job.PAGE, dead_letters.PAGE, webhooks.PAGE, webhooks.DELIVERY),
    ),
    Group(
        "Models",
        (
            *(models.LIST, models.ONE, providers.PAGE, experiments.PAGE, experiments.DETAIL),
            *(knowledge.PAGE, knowledge.STORE, playground.PAGE),
        ),
    ),
    Group("House", (settings.PAGE, doctor.PAGE, lost.PAGE)),
)


def add(app: Application, shown: Shown) -> None:
    """All pages and the files that they load."""
    live.add(app, shown)
    playground.add(app, shown)
    Frame(shown, GROUPS).add(app)

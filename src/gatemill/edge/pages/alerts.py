"""/ui/alerts: what is wrong with this installation, and what was. Rule: what is open stands above what is over."""

from __future__ import annotations

from gatemill.edge.admin.alerts import shown
from gatemill.edge.pages.frame import Data, Page, Visit
from gatemill.policy.incidents import RULES

OPEN_MAX = 100
LIST = 50  # of those that are over


async def _data(visit: Visit) -> Data:
    asked, incidents = visit.asked, visit.ledger.incidents
    name, before = asked.word("name", "", *RULES), asked.text("before")
    is_open = await incidents.listed(OPEN_MAX + 1, "open", name)
    over = await incidents.listed(LIST + 1, "closed", name, before)
    return {
        "open": [shown(each) for each in is_open[:OPEN_MAX]],
        "open_left_out": len(is_open) > OPEN_MAX,
        "over": [shown(each) for each in over[:LIST]],
        "older": over[LIST - 1].id if len(over) > LIST else "",
        "is_first": before == "",
        "filter": {"name": name},
        "names": list(RULES),
    }


PAGE = Page("/ui/alerts", "Alerts", "alerts.html", _data, ("name", "before"))

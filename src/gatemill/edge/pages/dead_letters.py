"""/ui/dead-letters: jobs that have failed for good. Rule: what a replay or a purge would mean is counted first."""

from __future__ import annotations

from gatemill.edge.deferred import desk_of
from gatemill.edge.pages.frame import Data, Page, Visit
from gatemill.edge.pages.jobs import row
from gatemill.ledger.jobs.rows import Filter

LIST = 50


async def _data(visit: Visit) -> Data:
    desk, asked = desk_of(visit.shown.door), visit.asked
    said = {name: asked.text(name) for name in ("kind", "queue", "error")}
    wanted = Filter(state="dead", kind=said["kind"], queue=said["queue"], error=said["error"])
    found = await desk.listed(visit.key, wanted, LIST + 1, asked.text("after"))
    return {
        "letters": [row(each) for each in found[:LIST]],
        "next": found[LIST - 1].id if len(found) > LIST else "",
        "filter": {name: value for name, value in said.items() if value},
        "kinds": list(desk.services.kinds.names),
    }


PAGE = Page(
    "/ui/dead-letters",
    "Dead letters",
    "dead_letters.html",
    _data,
    ("kind", "queue", "error", "after"),
)

"""/ui/doctor: what is wrong here and what repairs it, as this process sees it. Rule: what needs repair stands first."""

from __future__ import annotations

from gatemill.core.finding import FAILURE, OK, WARNING
from gatemill.edge.pages.frame import Data, Page, Visit
from gatemill.house import doctor

_LEVELS = {FAILURE: "failure", WARNING: "warning", OK: "ok"}
_ORDER = tuple(_LEVELS)


async def _data(visit: Visit) -> Data:
    reloader = visit.shown.reloader
    found = []
    if reloader is not None:
        loaded = reloader.draft.loaded
        found = await doctor.examined(loaded, visit.gateway.clock, serves=True)
        found.sort(key=lambda finding: _ORDER.index(finding.mark))
    told = [
        {
            "level": _LEVELS[finding.mark],
            "mark": finding.mark,
            "subject": finding.subject,
            "text": finding.text,
            "remedy": finding.fix or None,
        }
        for finding in found
    ]
    counts = {
        level: sum(one["level"] == level for one in told) for level in ("failure", "warning", "ok")
    }
    return {
        "findings": told,
        "counts": counts,
        "workers": 1 if reloader is None else reloader.workers,
    }


PAGE = Page("/ui/doctor", "Doctor", "doctor.html", _data)

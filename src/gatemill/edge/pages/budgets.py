"""/ui/budgets: every budget, how much of it is gone, and where it will end."""

from __future__ import annotations

from gatemill.core.limits import Kind
from gatemill.edge.admin.budgets import SCOPES, all_rules
from gatemill.edge.admin.clerk import Clerk
from gatemill.edge.pages import accounts
from gatemill.edge.pages.frame import Data, Page, Visit

LIMIT = 500
_BUDGET = Kind.BUDGET.name.lower()


async def _data(visit: Visit) -> Data:
    scope = visit.asked.word("scope", "", *SCOPES)
    found = await all_rules(Clerk(visit.shown), scope, "")
    budgets = [rule for rule in found if rule.kind is Kind.BUDGET]
    levels = await accounts.levels(visit, budgets[:LIMIT])
    for each in levels:
        key = visit.ledger.keys.by_id(each["id"]) if each["scope"] == "key" else None
        each["called"] = each["id"] if key is None else key.name
    refusals = visit.gateway.admission.refusals
    return {
        "asked": {"scope": scope},
        "scopes": list(SCOPES),
        "budgets": sorted(levels, key=lambda each: -each["share"]),
        "more": len(budgets) > LIMIT,
        # Of this process, since its configuration was loaded.
        "refusals": {where: count for (where, kind), count in refusals.items() if kind == _BUDGET},
    }


PAGE = Page("/ui/budgets", "Budgets", "budgets.html", _data, ("scope",))

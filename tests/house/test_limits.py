"""Admission, as the settings want it."""

from __future__ import annotations

from decimal import Decimal

from gatemill.core.call import Key
from gatemill.core.clock import SystemClock
from gatemill.core.limits import Kind
from gatemill.gateway.routes import Route
from gatemill.house.limits import admission_of
from gatemill.kv.memory.limits import MemoryLimiter
from gatemill.settings.admission import Allowance
from gatemill.settings.model import Settings


async def test_a_default_budget_that_a_reload_took_away_is_counted_and_refuses_nobody():
    async def spent(_rule, _start_s, _end_s) -> int:
        return 0

    limiter = MemoryLimiter(spent, lambda *_: None, SystemClock())
    limited = Allowance.model_validate({"budgets": {"day": {"usd": Decimal(5)}}})
    before = Settings.model_validate({"limits": {"default": limited}})
    key, route = Key(id="k1", name="k"), Route("m", ())
    former = admission_of(before, limiter)
    assert former.bundle(key, route).hard
    after = admission_of(Settings(), limiter, former).bundle(key, route)
    assert [rule.kind for rule in after.rules] == [Kind.BUDGET]
    assert (after.money, after.hard) == (True, False)

"""What one key, user or team used by day: whole days, and no other's."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gatemill.ledger import days, usage
from usage_rows import usage_row

DAY_S = 86_400.0
TODAY_S = 20_000 * DAY_S
NOW_S = TODAY_S + 3600.0


@pytest.fixture
def rows(database):
    def row(name, day, **more):
        made = usage_row(name, at=TODAY_S - day * DAY_S + 60.0, key_id="k1")
        return replace(made, user_id="ada", team_id="core", **more)

    found = [
        row(1, 0),
        row(2, 0, error="rate_limited", status=429, cost_microusd=0),
        row(3, 0, model="other", cost_microusd=None),
        row(4, 2),
        row(5, 9),
        usage_row(6, at=NOW_S, key_id="k2"),
    ]
    usage.insert(database, found, NOW_S)


@pytest.mark.parametrize(("scope", "scope_id"), [("key", "k1"), ("user", "ada"), ("team", "core")])
def test_days_come_in_order_by_model_and_hold_no_others(database, rows, scope, scope_id):
    found = days.of(database, scope, scope_id, TODAY_S - 3 * DAY_S + 5.0)
    told = [(int((TODAY_S - one.start_s) / DAY_S), one.model, one.attempts) for one in found]
    assert told == [(2, "fast", 1), (0, "fast", 2), (0, "other", 1)]
    assert [(one.requests, one.failed, one.unpriced, one.cost_microusd) for one in found] == [
        (1, 0, 0, 250),
        (2, 1, 0, 250),
        (1, 0, 1, 0),
    ]
    assert (found[0].prompt_tokens, found[0].completion_tokens) == (123, 45)


def test_who_used_nothing_has_no_days(database, rows):
    assert days.of(database, "key", "absent", 0.0) == []

"""What other parts count becomes metrics: every name has its words, and the numbers are read when asked."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

import databases
from gatemill import house
from gatemill.core.clock import FakeClock
from gatemill.local.builtin.cards import CARDS
from gatemill.observe.metrics import page
from gateway_parts import Kept, numbers
from house_for_tests import opened
from settings_files import loaded

CONFIG = """
[models.m]
targets = ["echo/echo"]
[models."free-*"]
targets = ["echo/*"]
[alerts]
webhook = "http://127.0.0.1:9/hook"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""


async def test_every_exported_family_says_what_it_is(tmp_path):
    async with opened(tmp_path, CONFIG) as gate:
        text = page(gate.home.gateway.meter, "1", "c").decode()
    for family in text_string_to_metric_families(text):
        assert family.documentation.endswith("."), family.name
        assert family.type != "unknown", family.name


async def test_numbers_of_all_parts_are_there(tmp_path):
    async with opened(tmp_path, CONFIG) as gate:
        gate.home.gateway.admission.refusals["team", "tokens"] = 2
        gate.home.gateway.recall.hits = 3
        gate.home.notifier.delivered = 4
        seen = numbers(gate.home.gateway.meter)
    assert seen['limit_refusals_total{limit="tokens",scope="team"}'] == 2
    assert seen["cache_hits_total{}"] == 3
    assert seen["alerts_delivered_total{}"] == 4
    assert seen['target_state{target="echo/echo"}'] == 0
    for name in ("ledger_rows_unsettled", "idempotency_replayed", "limiter_overruns"):
        assert seen[f"{name}_total{{}}"] == 0


async def test_names_that_callers_chose_share_one_series(tmp_path):
    async with opened(tmp_path, CONFIG) as gate:
        for name in ("free-a", "free-b"):
            gate.home.gateway.routes.find(name)
        seen = numbers(gate.home.gateway.meter)
    targets = [name for name in seen if name.startswith("target_in_flight")]
    own = {name for name in targets if 'target="builtin/' in name}
    assert len(own) == len(CARDS)
    assert set(targets) - own == {
        'target_in_flight{target="echo/echo"}',
        'target_in_flight{target="other"}',
    }


async def test_no_counter_falls_when_a_configuration_is_loaded(tmp_path):
    settings = loaded(tmp_path, CONFIG, server__data_dir=str(tmp_path / "data"))
    clock, output = FakeClock(1_763_000_000.0), (Kept(), False)
    databases.lay(settings.settings.data_dir)
    ledger = house.open_ledger(settings.settings, clock)
    now = None
    for times in (1, 2, 3):
        now = house.build(settings, ledger, clock, output, now)
        now.gateway.recall.hits += 3
        now.notifier.delivered += 4
        for refused in ("team", "key")[:times]:
            label = refused, "tokens"
            now.gateway.admission.refusals[label] = 2
        now.lasting.shadows.dropped += 1  # goes on by itself
        seen = numbers(now.gateway.meter)
        assert seen["cache_hits_total{}"] == 3 * times
        assert seen["alerts_delivered_total{}"] == 4 * times
        assert seen["shadow_dropped_total{}"] == times
        assert seen['limit_refusals_total{limit="tokens",scope="team"}'] == 2 * times
    assert seen['limit_refusals_total{limit="tokens",scope="key"}'] == 4
    await now.close()

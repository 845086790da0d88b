"""Who sends traces, and who only says why not."""

from __future__ import annotations

import sys

import pytest

from collector import collecting
from gatemill.core.errors import ExtraNotInstalled
from gatemill.house.telemetry import tracer_of
from house_for_tests import opened
from settings_files import loaded

ENDPOINT = "http://127.0.0.1:9"
OURS = f'[telemetry]\nendpoint = "{ENDPOINT}"\nflush_timeout_s = 0.0\n'


@pytest.fixture
def bare(monkeypatch):
    """The extra is not installed."""
    monkeypatch.setitem(sys.modules, "opentelemetry.proto.trace.v1.trace_pb2", None)


def test_without_the_extra_our_own_setting_is_refused_with_the_command(tmp_path, bare):
    with pytest.raises(ExtraNotInstalled, match=r"pip install 'gatemill\[otel\]'"):
        tracer_of(loaded(tmp_path, OURS), None)


async def test_without_the_extra_a_variable_for_all_programs_is_no_reason_not_to_start(
    tmp_path, bare
):
    async with opened(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=ENDPOINT) as gate:
        assert gate.home.gateway.tracer is None


async def test_a_reload_goes_on_with_the_same_tracer(tmp_path):
    with collecting() as collector:
        text = OURS.replace(ENDPOINT, collector.url)
        async with opened(tmp_path, text) as gate:
            before = gate.door.gateway
            (tmp_path / "gatemill.toml").write_text(text + "[limits]\nbody_bytes = 1000\n")
            outcome = await gate.shown.reloader.reload()
            assert outcome.outcome == "ok"
            assert gate.door.gateway is not before
            assert gate.door.gateway.tracer is before.tracer is not None

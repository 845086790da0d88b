"""A target for tests that need one and ask nobody."""

from __future__ import annotations

from gatemill.core.call import Target, TargetSettings, Timeouts
from gatemill.core.clock import FakeClock
from gatemill.providers import echo, openai
from gatemill.upstream.inline import Inline
from gatemill.upstream.lane import Lane, LaneSettings

TARGET = Target(
    provider="p",
    model="m",
    dialect=openai,
    transport=Inline(echo.respond, FakeClock()),
    timeouts=Timeouts(),
    price=None,
    settings=TargetSettings(),
    lane=Lane("p/m", LaneSettings(), None),
    label="p/m",
)

"""Processes that are killed: the child under a stream, and the gateway above a child."""

from __future__ import annotations

import signal
import sys

from killing import Caller, gone, killed_in_a_stream
from running import serve

CONFIG = f"""
[local.slow]
task = "generate"
engine = "command"
command = ["{sys.executable}", "-m", "gatemill", "fake-provider", "--port", "{{port}}"]
health = "/livez"
served_name = "fake+words=200+slow=0.3"
stop_timeout_s = 2
"""


def test_killing_the_child_costs_one_stream_and_killing_the_gateway_leaves_nobody(tmp_path):
    with serve(tmp_path, CONFIG) as running:
        pid = killed_in_a_stream(Caller(running), "slow")
        running.process.send_signal(signal.SIGKILL)
        running.process.wait()
        assert gone(pid)


def test_a_gateway_that_stops_takes_its_children_along(tmp_path):
    with serve(tmp_path, CONFIG) as running:
        caller = Caller(running)
        assert caller.chat("slow")[0] == 200
        pid = caller.runner("slow")["pid"]
    assert gone(pid)
    assert not list((tmp_path / "data" / "runners").glob("*.json"))

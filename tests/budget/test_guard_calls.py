"""How much Python guards run where they find nothing, which is nearly always."""

from __future__ import annotations

import collections
import json
import sys
from pathlib import Path

import gatemill
from budget.test_calls import _CONFIG, _calls, _report
from gatemill.core.guard import Use, Uses
from gatemill.gateway.edits import Texts
from gatemill.gateway.guards import Counts, Guards, Making
from gatemill.gateway.judging import Judge, Marks
from gatemill.gateway.local_guards import known_of
from gatemill.guards.scan import Scan
from gatemill.wire import editing
from gateway_parts import KEY

CALLS_MAX = 18  # of a chat, on both sides together
EVENT_CALLS_MAX = 20  # of one event of a stream
_GUARDS = """
    [guards]
    input = [
      {{ guard = "pii", mode = "mask" }},
      {{ guard = "secrets", mode = "block" }},
      {{ guard = "injection", mode = "block" }},
    ]
    output = [{{ guard = "pii", mode = "mask" }}, {{ guard = "secrets", mode = "block" }}]
"""
_TEXT = "The mill takes the fall of the water and turns it into a slow and even motion. " * 4
_OURS = str(Path(gatemill.__file__).parent)


async def test_guards_that_find_nothing_cost_a_warm_chat_few_calls(tmp_path: Path):
    (tmp_path / "off").mkdir()
    (tmp_path / "on").mkdir()
    off = await _calls(tmp_path / "off", _CONFIG)
    on = await _calls(tmp_path / "on", _CONFIG + _GUARDS)
    assert "Screen.suspects" in _report(on)
    assert 0 < on.total() - off.total() <= CALLS_MAX, _report(on - off)


def test_an_event_of_a_guarded_stream_costs_few_calls():
    uses = Uses(output=(Use("pii", "mask"), Use("secrets", "block")))
    making = Making(known_of({}, 0, ()), Scan, lambda use: None)
    policy = Guards(uses, making, None, Counts(), ("block", 1)).policy(KEY)
    editor = editing.editor("chat", Texts(Judge(policy.output, Marks()), Marks()))
    events = [
        b"data: "
        + json.dumps({"choices": [{"index": 0, "delta": {"content": f" {word}"}}]}).encode()
        + b"\n\n"
        for word in _TEXT.split()
    ]
    counted: collections.Counter[tuple[str, str]] = collections.Counter()

    def count(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(_OURS):
            counted[frame.f_code.co_filename, frame.f_code.co_qualname] += 1

    sys.setprofile(count)
    out = b"".join(map(editor.feed, events))
    sys.setprofile(None)
    assert b"slow " in out
    assert 0 < counted.total() / len(events) <= EVENT_CALLS_MAX, _report(counted)

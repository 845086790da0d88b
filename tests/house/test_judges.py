"""Guards that wait for somebody, in a whole house: hooks, the moderating model, and what a reload keeps."""

from __future__ import annotations

import msgspec
import pytest

from api import api
from gatemill.core.clock import SystemClock
from gatemill.core.errors import ExtraNotInstalled, InvalidValue
from gatemill.core.guard import Use
from gatemill.house.judges import Judges, Reader, hook_transports
from gatemill.local import presidio
from gatemill.settings.guards import Guards
from house_for_tests import opened
from sink import Sink, answer

BOTH = """
[guards]
input = [{{ guard = "moderation" }}]
output = [{{ guard = "http", hook = "team", mode = "mask" }}]
[guards.hooks.team]
url = "{url}"
"""


def judged(**said):
    return answer(200, body=msgspec.json.encode(said))


async def test_a_model_and_a_hook_guard_a_request(tmp_path):
    place = {"text": 0, "start": 0, "end": 5, "kind": "greeting"}
    async with Sink() as sink:
        sink.by_default = judged(findings=[place])
        async with opened(tmp_path, BOTH.format(url=sink.url)) as gate, api(gate) as ask:
            said = await ask.chat("hello there")
            assert said.json["choices"][0]["message"]["content"] == "[GREETING] there"
            refused = await ask.chat("I know where you live.")
            assert refused.status == 400
            assert refused.json["error"]["code"] == "content_filter"
            assert "live" not in refused.json["error"]["message"]
            assert len(sink.seen) == 1, "what was refused was not answered"
            sink.by_default = 500
            assert (await ask.chat("hello there")).status == 503
            await gate.home.ledger.flushed()
            asked = [row.operation for row in await gate.home.ledger.recent(9)]
            assert asked.count("moderations") == 3


def said(**fields):
    return Guards.model_validate(fields, strict=False)


async def test_a_hook_that_has_not_changed_keeps_its_connections():
    first = said(hooks={"a": {"url": "http://127.0.0.1:9/x"}, "b": {"url": "http://127.0.0.1:9"}})
    kept = hook_transports(first, None, {})
    then = said(hooks={"a": {"url": "http://127.0.0.1:9/x"}, "b": {"url": "http://127.0.0.1:8"}})
    again = hook_transports(then, first, kept)
    same = {name for name, transport in again.items() if kept[name] is transport}
    assert same == {"guard hook a"}
    for transport in (*kept.values(), *again.values()):
        await transport.close()


async def test_what_is_missing_is_said():
    settings = said(hooks={"a": {"url": "http://127.0.0.1:9"}})
    judges = Judges(settings, hook_transports(settings, None, {}), SystemClock(), Reader())
    with pytest.raises(InvalidValue, match=r"there is no `b` in \[guards.hooks\]; there are a"):
        judges.remote(Use("http", "block", hook="b"))
    wrong = said(hooks={"a": {"url": "http://127.0.0.1:9", "secret": "hush"}})
    with pytest.raises(InvalidValue) as refused:
        Judges(wrong, hook_transports(wrong, None, {}), SystemClock(), Reader())
    assert refused.value.param == "guards.hooks.a.secret"


async def test_the_threshold_of_each_is_its_own():
    settings = said(hooks={"a": {"url": "http://127.0.0.1:9"}}, moderation={"threshold": 0.3})
    judges = Judges(settings, hook_transports(settings, None, {}), SystemClock(), Reader())
    assert judges.remote(Use("moderation", "block"))[1] == 0.3
    assert judges.remote(Use("http", "block", hook="a"))[1] == 0.0


async def test_presidio_without_its_package_is_said_with_the_command(monkeypatch):
    monkeypatch.setattr(presidio, "_PACKAGE", "no_such_package")
    judges = Judges(said(), {}, SystemClock(), Reader())
    with pytest.raises(ExtraNotInstalled, match=r"pip install .gatemill\[presidio\]."):
        judges.remote(Use("presidio", "block"))


async def test_presidio_is_made_once_for_the_same_settings(monkeypatch):
    monkeypatch.setattr(presidio, "_PACKAGE", "json")
    reader = Reader()
    first, threshold = Judges(said(), {}, SystemClock(), reader).remote(Use("presidio", "block"))
    again, _ = Judges(said(), {}, SystemClock(), reader).remote(Use("presidio", "mask"))
    other = said(presidio={"language": "de"})
    changed, _ = Judges(other, {}, SystemClock(), reader).remote(Use("presidio", "block"))
    assert threshold == presidio.THRESHOLD
    assert first is again
    assert changed is not first
    await reader.close()

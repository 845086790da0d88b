"""What is kept of requests and answers, and that nobody notices."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from gatemill.core.call import Call, Head, Reply
from gatemill.core.errors import ClientGone, Draining, Overloaded, UpstreamInterrupted
from gatemill.core.later import Bounds, Later
from gatemill.core.ports import Incoming
from gatemill.gateway import recorder as room
from gatemill.gateway.recorder import Options, Recorder
from gateway_parts import KEY, Stage, asking, route
from playbook import DONE, HELLO, ROLE, STOP, USAGE, Scripted, target
from transports import Remembered

COMPLETION = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "upstream",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}
GOOD = Incoming(200, {}, msgspec.json.encode(COMPLETION))
STREAM = asking(stream=True)
OPTIONS = Options(1.0, ("*",), frozenset(("chat",)), 10_000)


class Recorded(Stage):
    """A stage that keeps what passes."""

    def __init__(self, *answers, rows_max=100, **options):
        super().__init__(route(target(*answers)))
        self.kept_rows = []

        async def keep(rows):
            self.kept_rows += rows

        self.later = Later("test", keep, Bounds(rows_max, 1 << 20, 10, 1 << 20))
        options = msgspec.structs.asdict(OPTIONS) | options
        self.recorder = Recorder(self.later, Options(**options))
        self.gateway = replace(self.gateway, recorder=self.recorder)

    async def recordings(self):
        await self.recorder.flushed()
        return self.kept_rows


async def test_an_answer_is_kept_with_what_was_asked():
    stage = Recorded(GOOD)
    reply = await stage.ask()
    (kept,) = await stage.recordings()
    assert (kept.request_id, kept.key_id, kept.model) == ("req_1", KEY.id, "m")
    assert (kept.operation, kept.streamed, kept.status, kept.error) == ("chat", False, 200, "")
    assert (kept.body, kept.filled, kept.answer) == (asking(), None, reply.body)
    assert kept.size == len(kept.body) + len(kept.answer)
    assert stage.recorder.taken == 1


async def test_what_a_prompt_made_of_the_body_is_kept_beside_it():
    stage = Recorded()
    call = Call("req_1", "chat", b'{"a":2}', Head("m"), 0.0, 9.0, key=KEY, asked=b'{"a":1}')
    stage.recorder.take(call, Reply(call=call, body=b"{}"), None)
    (kept,) = await stage.recordings()
    assert (kept.body, kept.filled) == (b'{"a":1}', b'{"a":2}')


async def test_a_failure_is_kept_as_one():
    stage = Recorded(Overloaded("busy"), Overloaded("busy"), Overloaded("busy"))
    with pytest.raises(Overloaded):
        await stage.ask()
    (kept,) = await stage.recordings()
    assert (kept.status, kept.error, kept.answer) == (503, "overloaded", b"")


async def test_a_fault_of_ours_is_kept_as_one():
    stage = Recorded(RuntimeError("a bug"))
    with pytest.raises(RuntimeError):
        await stage.ask()
    (kept,) = await stage.recordings()
    assert (kept.status, kept.error) == (500, "internal_error")


async def test_who_says_no_is_not_recorded():
    stage = Recorded(GOOD)
    await stage.ask(is_recorded=False)
    assert await stage.recordings() == []


async def test_jobs_are_not_recorded():
    stage = Recorded(GOOD)
    await stage.ask(job_id="job_1")
    assert await stage.recordings() == []


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"models": ("other", "m")}, 1),
        ({"models": ("other", "n*")}, 0),
        ({"operations": frozenset(("messages",))}, 0),
        ({"share": 0.0}, 0),
        ({"body_bytes_max": 50}, 0),
    ],
)
async def test_only_what_was_asked_for_is_kept(options, kept):
    stage = Recorded(GOOD, **options)
    await stage.ask()
    assert len(await stage.recordings()) == kept
    assert stage.recorder.too_large == ("body_bytes_max" in options)


async def test_the_share_is_chosen_by_the_id_and_always_the_same():
    stage = Recorded(share=0.25, rows_max=1000)

    def taken(number):
        before = stage.recorder.taken
        call = Call(f"req_{number}", "chat", b"{}", Head("m"), 0.0, 9.0, key=KEY)
        stage.recorder.take(call, Reply(call=call, body=b"{}"), None)
        return stage.recorder.taken - before

    first = [taken(number) for number in range(400)]
    assert 70 < sum(first) < 130
    assert [taken(number) for number in range(400)] == first
    await stage.later.close()


async def test_what_has_no_room_is_not_kept():
    stage = Recorded(GOOD, GOOD, rows_max=1)
    await stage.ask()
    await stage.ask()
    assert len(await stage.recordings()) == 1
    assert (stage.later.dropped, stage.recorder.taken) == (1, 1)


# --- Streams ------------------------------------------------------------------------------------------


async def streamed(stage, source):
    reply = await stage.ask("chat", STREAM)
    sink = Remembered()
    reply.stream.attach(sink)
    return reply.stream, sink


async def test_a_stream_is_the_same_bytes_in_the_same_pieces_and_is_kept():
    said = []
    for made in (Stage, Recorded):
        source = Scripted(ROLE, HELLO)
        stage = Stage(route(target(source))) if made is Stage else Recorded(source)
        stream, sink = await streamed(stage, source)
        stream.pause()
        stream.resume()
        for part in (STOP, USAGE, DONE):
            source.say(part)
        source.end()
        assert sink.closed == [None]
        said.append((sink.parts, stream.sent_events, source.calls))
    assert said[0] == said[1]
    (kept,) = await stage.recordings()
    assert kept.streamed
    assert kept.answer == ROLE + HELLO + STOP + DONE
    assert kept.error == ""
    assert stage.recorder.open_bytes == 0


async def test_a_stream_that_breaks_off_is_kept_as_a_failure():
    source = Scripted(ROLE, HELLO)
    stage = Recorded(source)
    _, sink = await streamed(stage, source)
    source.end(UpstreamInterrupted("cut"))
    assert [type(error) for error in sink.closed] == [UpstreamInterrupted]
    (kept,) = await stage.recordings()
    assert (kept.error, kept.answer) == ("upstream_interrupted", ROLE + HELLO)


@pytest.mark.parametrize("listens", [True, False])
async def test_a_caller_who_hangs_up_leaves_a_failure_once(listens):
    source = Scripted(ROLE, HELLO)
    stage = Recorded(source)
    reply = await stage.ask("chat", STREAM)
    if listens:
        reply.stream.attach(Remembered())
    reply.stream.abort()
    reply.stream.abort()
    assert "abort" in source.calls
    (kept,) = await stage.recordings()
    assert kept.error == ClientGone.code
    assert stage.recorder.open_bytes == 0


@pytest.mark.parametrize("listens", [True, False])
async def test_a_failure_of_the_door_is_kept_once(listens):
    stage = Recorded(Scripted(ROLE, HELLO))
    reply = await stage.ask("chat", STREAM)
    if listens:
        reply.stream.attach(Remembered())
    reply.stream.fail(Draining("down"))
    reply.stream.abort()
    (kept,) = await stage.recordings()
    assert kept.error == "draining"


@pytest.mark.parametrize("bound", ["one", "all"])
async def test_a_stream_that_grows_too_large_flows_on_and_is_not_kept(bound, monkeypatch):
    if bound == "all":
        monkeypatch.setattr(room, "OPEN_BYTES_MAX", 250)
    source = Scripted(ROLE, HELLO)
    stage = Recorded(source, body_bytes_max=300 if bound == "one" else 10_000)
    _, sink = await streamed(stage, source)
    for part in (HELLO, HELLO, STOP, DONE):
        source.say(part)
    source.end()
    assert sink.closed == [None]
    assert sink.data.startswith(ROLE + HELLO + HELLO + HELLO + STOP + DONE)
    assert await stage.recordings() == []
    assert (stage.recorder.too_large, stage.recorder.open_bytes) == (1, 0)

"""An upstream whose every move a test makes, and the events of a chat stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from gatemill.core.call import Call, Head, Key, Target, TargetSettings, Timeouts
from gatemill.core.clock import FakeClock
from gatemill.core.ports import Incoming
from gatemill.providers import openai
from gatemill.upstream.attempt import Retries, Tries
from gatemill.upstream.lane import Lane, LaneSettings

if TYPE_CHECKING:
    from gatemill.core.call import Attempt
    from gatemill.core.errors import GatemillError
    from gatemill.core.ports import Outgoing, Sink

DONE = b"data: [DONE]\n\n"


def event(**fields: Any) -> bytes:
    return b"data: " + msgspec.json.encode({"id": "c1", **fields}) + b"\n\n"


def delta(finish: str | None = None, **said: Any) -> bytes:
    return event(choices=[{"index": 0, "delta": said, "finish_reason": finish}])


ROLE = delta(role="assistant", content="")
HELLO = delta(content="Hello")
STOP = delta("stop")
USAGE = event(choices=[], usage={"prompt_tokens": 7, "completion_tokens": 3})


class Scripted:
    """A source that says what it is told to, and remembers what it was told."""

    def __init__(self, *at_once: bytes) -> None:
        self.sink: Sink | None = None
        self.calls: list[str] = []
        self._at_once = at_once

    def attach(self, sink: Sink) -> None:
        self.sink = sink
        self.calls.append("attach")
        for data in self._at_once:
            self.say(data)

    def pause(self) -> None:
        self.calls.append("pause")

    def resume(self) -> None:
        self.calls.append("resume")

    def abort(self) -> None:
        self.calls.append("abort")
        self.sink = None

    def say(self, data: bytes) -> None:
        if self.sink is not None:
            self.sink.feed(data)

    def end(self, error: GatemillError | None = None) -> None:
        sink, self.sink = self.sink, None
        if sink is not None:
            sink.close(error)


class Scene:
    """A transport that gives its answers in order: Incoming, Scripted, or an error to raise."""

    def __init__(self, *answers: Incoming | Scripted | Exception) -> None:
        self._answers = list(answers)
        self.asked: list[Outgoing] = []

    async def exchange(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Incoming:
        answer = self._next(out)
        assert isinstance(answer, Incoming)
        return answer

    async def open(
        self, out: Outgoing, timeouts: Timeouts, deadline_s: float
    ) -> Incoming | Scripted:
        return self._next(out)

    async def close(self) -> None:
        pass

    def _next(self, out: Outgoing) -> Incoming | Scripted:
        self.asked.append(out)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def target(
    *answers: Any, name: str = "a", model: str = "m", lane: Lane | None = None, **settings: Any
) -> Target:
    """A target that speaks OpenAI's dialect and answers so."""
    return Target(
        provider=name,
        model=model,
        dialect=openai,
        transport=Scene(*answers),
        timeouts=Timeouts(),
        price=None,
        settings=TargetSettings(**settings),
        lane=lane or Lane(f"{name}/{model}", LaneSettings(), None),
        label=f"{name}/{model}",
    )


def call(*, stream: bool = False, deadline_s: float = 100.0, **fields: Any) -> Call:
    """A chat call for the model `m`."""
    said = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **fields}
    if stream:
        said["stream"] = True
    return Call(
        id="r1",
        operation="chat",
        body=msgspec.json.encode(said),
        head=Head(model="m", stream=stream, wants_usage=False),
        started_s=0.0,
        deadline_s=deadline_s,
        key=Key(id="k", name="k"),
    )


class Trying:
    """What attempts share, with a clock that jumps over every pause, and a memory of all of it."""

    def __init__(
        self, clock: FakeClock | None = None, *, unit: float = 0.5, **retries: Any
    ) -> None:
        self.clock = clock or FakeClock()
        self.pauses: list[float] = []
        self.opened: list[str] = []  # labels of the targets, as attempts were sent
        self.asked_more: list[str] = []
        self.refusal: GatemillError | None = None  # what `more` raises
        self.tries = Tries(
            now=self.clock.monotonic_s,
            sleep=self._sleep,
            rng=lambda: unit,
            retries=Retries(**retries),
            opening=self._opening,
            more=self._more,
        )

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.clock.advance(seconds)

    def _opening(self, call: Call, attempt: Attempt) -> None:
        assert call.attempts[-1] is attempt
        self.opened.append(attempt.target.label)

    async def _more(self, call: Call, attempt: Attempt) -> None:
        assert attempt not in call.attempts
        self.asked_more.append(attempt.target.label)
        if self.refusal is not None:
            raise self.refusal

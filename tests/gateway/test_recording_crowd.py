"""Listeners of one stream who come, stop, go on and leave as chance wants: all get the same bytes."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from gatemill.core.errors import Overloaded
from recording_play import TAIL, Stage, code
from transports import Remembered


class Fickle(Remembered):
    """A sink that stops reading whenever chance says so, in the middle of being fed."""

    def __init__(self, listener, rng: random.Random) -> None:
        super().__init__()
        self.listener, self.rng = listener, rng

    def feed(self, data: bytes) -> None:
        super().feed(data)
        if self.rng.random() < 0.4:
            self.listener.pause()


class Crowd:
    """Listeners who come, stop, go on and leave as chance wants."""

    def __init__(self, sizes: list[int], bytes_max: int, seed: int) -> None:
        self.rng = random.Random(seed)
        self.stage = Stage(bytes_max=bytes_max)
        self.events = [b"%d:" % i + b"x" * size + b"\n\n" for i, size in enumerate(sizes)]
        self.left = list(self.events)
        leader = self.stage.leader
        self.sinks = {leader: Fickle(leader, self.rng)}
        self.waiting = [leader]  # not attached yet
        self.gone: set = set()
        self.moves = (self.join, self.attach, self.resume, self.leave, self.say, self.say)

    def join(self) -> None:
        if self.stage.recording.admits:
            listener, _ = self.stage.joined(str(len(self.sinks)))
            self.sinks[listener] = Fickle(listener, self.rng)
            self.waiting.append(listener)

    def attach(self) -> None:
        if self.waiting:
            listener = self.waiting.pop(self.rng.randrange(len(self.waiting)))
            listener.attach(self.sinks[listener])

    def resume(self) -> None:
        self.rng.choice(list(self.sinks)).resume()

    def leave(self) -> None:
        if len(self.sinks) - len(self.gone) > 1 and self.rng.random() < 0.3:
            listener = self.rng.choice([one for one in self.sinks if one not in self.gone])
            self.gone.add(listener)
            if listener in self.waiting:
                self.waiting.remove(listener)
            listener.abort()

    def say(self) -> None:
        if self.left and self.stage.upstream.calls[-1] != "pause":
            self.stage.upstream.say(self.left.pop(0))

    def finish(self) -> None:
        while self.waiting:
            self.attach()
        while self.left:
            self.resume_all()
            self.stage.upstream.say(self.left.pop(0))
        self.stage.upstream.end()
        for _ in range(2 * len(self.events) + 2):
            self.resume_all()

    def resume_all(self) -> None:
        for listener in self.sinks:
            listener.resume()


@settings(max_examples=settings().max_examples * 3, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), max_size=30),
    moves=st.lists(st.integers(0, 5), max_size=60),
    bytes_max=st.sampled_from([60, 300, 10_000]),
    seed=st.integers(0, 1 << 30),
)
def test_every_listener_gets_the_same_bytes_however_they_come_and_are_read(
    sizes, moves, bytes_max, seed
):
    crowd = Crowd(sizes, bytes_max, seed)
    stage, largest = crowd.stage, max(map(len, crowd.events), default=0)
    for move in moves:
        crowd.moves[move]()
        assert stage.space.bytes <= bytes_max + largest
    crowd.finish()
    whole = b"".join(crowd.events)
    for listener, sink in crowd.sinks.items():
        assert (whole + TAIL).startswith(sink.data)
        given_up = code(sink.closed) == [Overloaded.code]
        if listener in crowd.gone:
            assert sink.closed == [] or given_up
        elif not given_up:
            assert sink.closed == [None]
            assert sink.data == whole + TAIL
    assert all(len(said) == 1 for said in stage.settled.values())
    assert stage.space.bytes == 0
    assert len(stage.ended) == 1

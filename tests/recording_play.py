"""A recording with an upstream and a leader, whose every move a test makes."""

from __future__ import annotations

from gatemill.core.errors import ClientGone
from gatemill.gateway.recording import Recording, Space
from playbook import Scripted
from transports import Remembered

TAIL = b": the end\n\n"


class Upstream(Scripted):
    """A stream as the relay makes it: it settles once, then says its last bytes."""

    def __init__(self, *at_once: bytes) -> None:
        super().__init__(*at_once)
        self.settle = None
        self.settled: list = []
        self.sent_events = 0

    def on_end(self, settle) -> None:
        self.settle = settle

    def end(self, error=None, last: bytes = b"") -> None:
        self._settle(error)
        if last:
            self.say(last)
        super().end(error)

    def abort(self) -> None:
        super().abort()
        self._settle(ClientGone("gone"))

    def fail(self, error) -> None:
        self.calls.append("fail")
        self.end(error)

    def _settle(self, error) -> None:
        settle, self.settle = self.settle, None
        if settle is not None:
            self.settled.append(error)
            assert settle(error) == b"", "a recording holds nothing of ours"


class Stage:
    def __init__(self, bytes_max: int = 1000, space: int = 10_000) -> None:
        self.upstream = Upstream()
        self.space = Space(space)
        self.ended: list = []
        self.settled: dict[str, list] = {}
        self.recording = Recording(
            self.upstream, bytes_max, self.space, lambda *how: self.ended.append(how)
        )
        self.leader, self.sink = self.joined("leader", leads=True)
        self.recording.begin()

    def joined(self, name: str, *, leads: bool = False, tail: bytes = TAIL):
        listener = self.recording.join(leads=leads)
        said = self.settled[name] = []

        def settle(error):
            said.append(error)
            return tail

        listener.on_end(settle)
        return listener, Remembered()


def code(errors) -> list[str]:
    return [error.code if error is not None else "" for error in errors]

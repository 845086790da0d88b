"""Edits that anybody can check: SECRET becomes [X], or ends the stream."""

from __future__ import annotations

from gatemill.core.errors import ContentBlocked, GatemillError

WORD = "SECRET"
LABEL = "[X]"
PARTS = ["SECRET", "SEC", "RET", "S", "a", " ", "é🌍", '"', "\\", "\n", "x@y.org", "ECRE"]


class ToyEdit:
    def __init__(self, edits: ToyEdits) -> None:
        self._edits = edits
        self._held = ""

    def feed(self, text: str) -> str:
        assert self._edits.failure is None, "nothing is fed after a failure"
        text = self._edits.told(self._held + text)
        if self._edits.failure is not None:
            return text
        keeps = max(size for size in range(len(WORD)) if text.endswith(WORD[:size]))
        self._held = text[len(text) - keeps :]
        return text[: len(text) - keeps]

    def finish(self) -> str:
        return self._held


class ToyEdits:
    """`asked` holds what came whole, and for each channel whether it is JSON."""

    def __init__(self, *, blocks: bool = False, changes: bool = True) -> None:
        self.changes = changes
        self.failure: GatemillError | None = None
        self.wholes: list[str] = []
        self.channels: list[bool] = []
        self._blocks = blocks

    def channel(self, *, is_json: bool) -> ToyEdit:
        self.channels.append(is_json)
        return ToyEdit(self)

    def whole(self, text: str, *, is_json: bool) -> str:
        assert self.failure is None, "nothing is fed after a failure"
        self.wholes.append(text)
        return self.told(text)

    def told(self, text: str) -> str:
        if self._blocks and WORD in text:
            self.failure = ContentBlocked("`answer`: the toy guard found a word of 6 characters.")
            return text[: text.index(WORD)]
        return text.replace(WORD, LABEL) if self.changes else text


def told(text: str) -> str:
    """What a caller may see of a text."""
    return text.replace(WORD, LABEL)

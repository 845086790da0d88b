"""The guard `http`: a team's own server judges texts.

Rule: only the server of the configuration is asked, no redirect is followed, and an answer that is not
exactly what docs/guides/moderate.md describes is no answer: the guard is then unavailable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from gatemill.core.call import Timeouts
from gatemill.core.errors import GatemillError, GuardUnavailable
from gatemill.core.guard import Finding
from gatemill.core.ports import Outgoing
from gatemill.wire import webhook

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.call import Call
    from gatemill.core.clock import Clock
    from gatemill.core.ports import Transport

NAME = "http"
BLOCKED = "blocked"  # the kind of a verdict on everything, without a place
OTHER = "other"  # the kind of all further ones once a hook has used KINDS_MAX
KINDS_MAX = 64  # kinds are labels of metrics
ANSWER_BYTES_MAX = 1 << 20
FINDINGS_MAX = 10_000

_Place = Annotated[int, Meta(ge=0)]


class _Found(Struct, forbid_unknown_fields=True):
    text: _Place  # its number among those that were sent
    start: _Place  # in characters, which are Unicode's code points
    end: _Place
    kind: Annotated[str, Meta(pattern="^[a-z][a-z0-9_-]{0,31}$")]
    score: Annotated[float, Meta(ge=0, le=1)] = 1.0


class _Judged(Struct, forbid_unknown_fields=True):
    findings: Annotated[list[_Found], Meta(max_length=FINDINGS_MAX)] | None = None
    action: Literal["pass", "block"] | None = None


_judged = msgspec.json.Decoder(_Judged)


class Hook:
    """One server. Satisfies core.guard.Remote."""

    def __init__(
        self, way: tuple[Transport, str], key: bytes | None, timeout_s: float, clock: Clock
    ) -> None:
        """`way` is the transport to the server, and the path there; `key` signs what is sent."""
        self._transport, self._path = way
        self._key = key
        self._timeouts = Timeouts(timeout_s, timeout_s, timeout_s, timeout_s)
        self._clock = clock
        self._kinds: set[str] = set()  # at most KINDS_MAX

    async def judge(self, texts: Sequence[str], call: Call, side: str) -> Sequence[list[Finding]]:
        """What the server has found in each text. Raises GuardUnavailable."""
        body = msgspec.json.encode(
            {
                "side": side,
                "texts": texts,
                "request_id": call.id,
                "key_id": "" if call.key is None else call.key.id,
                "model": call.head.model,
            }
        )
        signed: tuple[tuple[str, str], ...] = ()
        if self._key is not None:
            name = f"{call.id}-{side}"
            signed = webhook.headers((self._key,), name, self._clock.unix_s(), body)
        out = Outgoing(self._path, body, signed)
        limit_s = self._clock.monotonic_s() + self._timeouts.total_s
        try:
            got = await self._transport.exchange(out, self._timeouts, min(call.deadline_s, limit_s))
        except GatemillError as error:
            raise GuardUnavailable(f"The hook cannot be asked: {error.message}") from error
        if got.status != 200:
            raise GuardUnavailable(f"The hook answered {got.status}, and not 200.")
        return self._found(got.body, texts)

    def _found(self, body: bytes, texts: Sequence[str]) -> list[list[Finding]]:
        if len(body) > ANSWER_BYTES_MAX:
            raise GuardUnavailable(f"The hook's answer has more than {ANSWER_BYTES_MAX} bytes.")
        try:
            judged = _judged.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise GuardUnavailable("The hook's answer is not what a hook may say.") from None
        if judged.findings is None and judged.action is None:
            raise GuardUnavailable('The hook\'s answer says nothing. It is {"action": "pass"}.')
        found: list[list[Finding]] = [[] for _ in texts]
        for one in judged.findings or ():
            if one.text >= len(texts) or not one.start < one.end <= len(texts[one.text]):
                raise GuardUnavailable("The hook's answer names a place that is none.")
            text = texts[one.text]
            start = _bytes(text[: one.start])
            end = start + _bytes(text[one.start : one.end])
            found[one.text].append(Finding(start, end, NAME, self._kind(one.kind), one.score))
        if judged.action == "block" and not any(found):
            for text, places in zip(texts, found, strict=True):
                places.append(Finding(0, _bytes(text), NAME, BLOCKED))
        return found

    def _kind(self, kind: str) -> str:
        if kind not in self._kinds:
            if len(self._kinds) >= KINDS_MAX:
                return OTHER
            self._kinds.add(kind)
        return kind


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))

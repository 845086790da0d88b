"""A Feast feature server, asked over HTTP.

Rule: one question for each entity; one that fails is left alone for a while, so that a server that is
down costs requests nothing. https://docs.feast.dev/reference/feature-servers/python-feature-server,
seen 2026-11-21 with Feast 0.67.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gatemill.core.call import Timeouts
from gatemill.core.errors import (
    GatemillError,
    UpstreamBadReply,
    UpstreamUnreachable,
)
from gatemill.core.ports import Outgoing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gatemill.core.clock import Clock
    from gatemill.core.ports import Transport

PATH = "/get-online-features"
REST_S = 1.0  # after the first failure; doubled after each further one
REST_S_MAX = 60.0
_ZERO = datetime(1970, 1, 1, tzinfo=UTC)


class Known(Struct, frozen=True):
    """What is known of one feature of one entity."""

    value: Any  # None unless PRESENT
    event_at: float | None  # Unix time
    status: str  # "PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE"


class _Metadata(Struct):
    feature_names: list[str] = []


class _Column(Struct):
    values: list[Any] = []
    statuses: list[str] = []
    event_timestamps: list[str] = []


class _Answer(Struct):
    metadata: _Metadata
    results: list[_Column]


_answer = msgspec.json.Decoder(_Answer)


class Feast:
    """One for the house; made anew when the configuration changes."""

    def __init__(self, transport: Transport, timeout_s: float, clock: Clock) -> None:
        self.questions = 0
        self.failures = 0
        self._transport = transport
        self._timeouts = Timeouts(timeout_s, timeout_s, timeout_s, timeout_s)
        self._clock = clock
        self._rests_until_s = 0.0  # monotonic
        self._in_a_row = 0  # failures

    async def online(
        self, refs: Mapping[str, str], join_key: str, keys: Sequence[str]
    ) -> list[dict[str, Known]]:
        """What is known of each key, by the names that `refs` gives its references.

        Raises UpstreamUnreachable (also while it is left alone), UpstreamTimeout, UpstreamBadReply.
        """
        now_s = self._clock.monotonic_s()
        if now_s < self._rests_until_s:
            raise UpstreamUnreachable("The feature server failed lately and is left alone.")
        self.questions += 1
        try:
            found = await self._asked(refs, join_key, keys)
        except GatemillError:
            self.failures += 1
            self._in_a_row += 1
            rest_s = min(REST_S_MAX, REST_S * 2 ** min(self._in_a_row - 1, 10))
            self._rests_until_s = self._clock.monotonic_s() + rest_s
            raise
        self._in_a_row = 0
        return found

    async def _asked(
        self, refs: Mapping[str, str], join_key: str, keys: Sequence[str]
    ) -> list[dict[str, Known]]:
        body = {
            "features": list(refs.values()),
            "entities": {join_key: list(keys)},
            "full_feature_names": True,
        }
        deadline_s = self._clock.monotonic_s() + self._timeouts.total_s
        out = Outgoing(PATH, msgspec.json.encode(body))
        got = await self._transport.exchange(out, self._timeouts, deadline_s)
        if got.status != 200:
            raise UpstreamBadReply(
                f"The feature server answered {got.status}. Check the references and the join key of"
                " the set."
            )
        try:
            answer = _answer.decode(got.body)
            columns = dict(zip(answer.metadata.feature_names, answer.results, strict=True))
            return [
                {name: _known(columns[_full(ref)], row) for name, ref in refs.items()}
                for row in range(len(keys))
            ]
        except (msgspec.MsgspecError, ValueError, KeyError, IndexError):
            raise UpstreamBadReply(
                "The feature server's answer is not what its API defines."
            ) from None


def _full(ref: str) -> str:
    """What Feast calls a feature in an answer with full names."""
    view, _, name = ref.partition(":")
    return f"{view.partition('@')[0]}__{name}"


def _known(column: _Column, row: int) -> Known:
    status, value = column.statuses[row], column.values[row]
    event_at = None
    if column.event_timestamps:
        at = datetime.fromisoformat(column.event_timestamps[row])
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        event_at = None if at <= _ZERO else at.timestamp()
    if status == "PRESENT" and value is None:
        status = "NULL_VALUE"
    return Known(value if status == "PRESENT" else None, event_at, status)

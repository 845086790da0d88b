"""A server of the Open Inference Protocol behind the seam of every provider.

Rule: sockets are the pool's, formats are providers/oip.py's; nothing happens here but calling both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.core.ports import Incoming
from gatemill.providers import oip

if TYPE_CHECKING:
    from gatemill.core.call import Timeouts
    from gatemill.core.ports import Outgoing, Source, Transport


class InferenceServer:
    """Satisfies ports.Transport for predict requests; `transport` leads to the server."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def exchange(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Incoming:
        """Predictions. Raises UnsupportedOperation, UpstreamBadReply and what the transport raises."""
        sent, wanted = oip.request(out)
        incoming = await self._transport.exchange(sent, timeouts, deadline_s)
        if not 200 <= incoming.status < 300:
            return incoming
        return Incoming(incoming.status, incoming.headers, oip.reply(incoming.body, wanted))

    async def open(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Incoming | Source:
        """The same: nothing is streamed."""
        return await self.exchange(out, timeouts, deadline_s)

    async def close(self) -> None:
        """The transport is closed."""
        await self._transport.close()

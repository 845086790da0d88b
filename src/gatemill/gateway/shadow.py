"""Copies of requests to another model, whose answers nobody sees.

Rule: a copy never delays, changes or fails the request it copies; it is billed to the key "shadow".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from gatemill.core.call import Call, Key
from gatemill.core.errors import GatemillError
from gatemill.core.tasks import spawn
from gatemill.gateway import parts
from gatemill.gateway.plan import plan
from gatemill.gateway.prepare import fill
from gatemill.gateway.settle import settle
from gatemill.upstream.attempt import attempt

if TYPE_CHECKING:
    from gatemill.core.ports import Stream, Surface
    from gatemill.gateway.parts import Gateway
    from gatemill.gateway.plan import ShadowRoute

KEY = Key(id="shadow", name="shadow traffic")


class Shadows:
    """The copies under way."""

    def __init__(self) -> None:
        self.in_flight: dict[str, int] = {}  # by model; as many entries as there are models
        self.dropped = 0  # copies not sent, because as many as may were under way

    def begin(self, gateway: Gateway, surface: Surface, call: Call, route: ShadowRoute) -> None:
        """A copy of `call` is under way to `route`, if there is room."""
        running = self.in_flight.get(route.model, 0)
        if running >= route.concurrency_max:
            self.dropped += 1
            return
        self.in_flight[route.model] = running + 1
        now_s = gateway.now()
        body, head = call.body, call.head
        if route.arm is not None and call.asked:  # not what another arm has made of it
            body = call.asked
            head = surface.head(body)
        copy = Call(
            id=f"{call.id}-shadow",
            operation=call.operation,
            body=body,
            head=replace(head, model=route.model),
            started_s=now_s,
            deadline_s=now_s + gateway.request_timeout_s,
            arrived_at=gateway.clock.unix_s(),
            key=KEY,
            headers=call.headers,
            seed=call.seed,
            facts=call.facts,
        )
        spawn(self._run(gateway, surface, copy, route), "shadow")

    async def _run(
        self, gateway: Gateway, surface: Surface, call: Call, route: ShadowRoute
    ) -> None:
        caller = parts.Caller(secret=None, started_s=call.started_s)
        failure: GatemillError | None = None
        stream: Stream | None = None
        try:
            below = route.arm is not None
            chosen = plan(gateway.routes, KEY, call, gateway.now(), below=below)
            call.label = chosen.route.name
            if route.arm is not None:
                arm, inner = route.arm.name, chosen.version
                call.version = f"{arm}/{inner}" if inner else arm
                chosen = replace(chosen, arm=route.arm, experiment=route.experiment)
                fill(gateway, surface, call, chosen)
            reply = await attempt(chosen.targets, surface, call, gateway.tries)
            stream = reply.stream
        except GatemillError as error:
            failure = error
        finally:
            if stream is None:
                self._end(gateway, call, caller, failure)
        if stream is not None:

            def end(error: GatemillError | None) -> bytes:
                self._end(gateway, call, caller, error)
                return b""

            stream.on_end(end)
            stream.attach(_Discard())

    def _end(
        self, gateway: Gateway, call: Call, caller: parts.Caller, error: GatemillError | None
    ) -> None:
        self.in_flight[call.head.model] -= 1
        settle(gateway, call, caller, error)


class _Discard:
    """The sink of a stream that nobody reads."""

    def feed(self, data: bytes) -> None:
        pass

    def close(self, error: GatemillError | None) -> None:
        pass

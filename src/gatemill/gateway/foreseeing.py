"""What guards would do with a request, for explaining it.

Rule: kinds and counts, never a text; nobody is asked, nothing is counted.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from gatemill.gateway import looking
from gatemill.gateway.judging import Judge, Marks
from gatemill.wire import guard_uses

if TYPE_CHECKING:
    from gatemill.core.call import Call
    from gatemill.core.ports import Json
    from gatemill.gateway.guards import Policy
    from gatemill.gateway.parts import Gateway
    from gatemill.gateway.plan import Plan


async def foresee(gateway: Gateway, call: Call, chosen: Plan, said: Json) -> None:
    """`guards` and `findings` say which guards apply, and what the local ones find in the request.

    The body is then as the provider would get it. Raises ContentBlocked, GuardUnavailable, Overloaded.
    """
    assert call.key is not None
    said |= {"guards": [], "findings": []}
    policy = gateway.guards.policy(call.key, chosen.route, chosen.leaf)
    if policy is None:
        return
    said["guards"] = _guards(policy)
    side = policy.input
    if side is None:
        return
    work = partial(looking.look, side, call.body)
    seen = await gateway.guards.read(work)
    if seen is None:
        return
    judge = Judge(side, Marks(call.body))
    looking.replace(judge, seen)
    said["findings"] = [msgspec.to_builtins(one) for one in judge.fresh()]
    if judge.blocked is not None:
        raise judge.blocked
    if side.refuses:
        call.body = looking.encoded(seen, call.body)


def _guards(policy: Policy) -> list[Json]:
    sides = [side for side in (policy.input, policy.output) if side is not None]
    return [{"side": side.name, **guard_uses.said(use)} for side in sides for use in side.uses]

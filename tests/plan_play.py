"""Routes and lanes in the state that a test wants, and what is planned on them."""

from __future__ import annotations

from msgspec.structs import replace

from gatemill.core.call import Key
from gatemill.gateway.plan import Plan, plan
from gatemill.gateway.routes import Routes
from gateway_parts import KEY, PRICE
from playbook import call, target

NOW_S = 7.0
DEAR, CHEAP = replace(PRICE, input=5_000_000), replace(PRICE, input=100_000)


class FakeLane:
    """A lane in the state that a test wants, which also checks that it is asked for now."""

    def __init__(self, *, ready: bool = True, load_s: float = 0.1, share: float = 1.0) -> None:
        self.ready, self.load, self.part = ready, load_s, share

    def is_ready(self, now_s: float) -> bool:
        assert now_s == NOW_S
        return self.ready

    def load_s(self, now_s: float) -> float:
        assert now_s == NOW_S
        return self.load

    def share(self, now_s: float) -> float:
        assert now_s == NOW_S
        return self.part


def place(name: str, *, price=None, window: int | None = None, **lane):
    """A target in some state."""
    made = target(name=name, lane=FakeLane(**lane))
    return replace(made, price=price, context_tokens=window)


def routes(*made) -> Routes:
    return Routes(made, lambda _provider, _model: PRICE, lambda _provider, _model: FakeLane())


def asking(model: str = "m", text: str = "Hi", seed: str = "s", **head):
    made = call(messages=[{"role": "user", "content": text}])
    made.head = replace(made.head, model=model, **head)
    made.seed = seed
    return made


def planned(made: Routes, asked=None, key: Key = KEY) -> Plan:
    return plan(made, key, asked or asking(), NOW_S)


def names(found: Plan) -> str:
    """The providers in their order, one letter each."""
    return "".join(one.provider for one in found.targets)


def notes(found: Plan) -> dict[str, str]:
    return {one.target.partition("/")[0]: one.note for one in found.considered}

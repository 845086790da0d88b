"""What one process serves while the registry changes: loaded first, and nothing that fails to load."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

import databases
from gatemill.core.clock import SystemClock
from gatemill.core.errors import (
    InvalidValue,
    ModelLoadFailed,
    NotFound,
    UnsupportedOperation,
    UpstreamUnreachable,
)
from gatemill.core.model import Loaded, ModelSpec
from gatemill.ledger.ledger import Ledger
from gatemill.ledger.registry_rows import Model, Move, NewVersion
from gatemill.registry import desk as desk_module
from gatemill.registry import following
from gatemill.registry.desk import Desk
from gatemill.registry.table import Table


class Shelf:
    """Loads what it is told to, and notes it."""

    def __init__(self) -> None:
        self.loaded: dict[str, ModelSpec] = {}
        self.broken: set[str] = set()

    async def examine(self, spec: ModelSpec) -> str:
        return "d" * 64

    async def load(self, spec: ModelSpec) -> Loaded:
        if spec.name in self.broken:
            raise ModelLoadFailed(f"{spec.name} is broken.")
        self.loaded[spec.name] = spec
        return Loaded(spec.name, spec.task, spec.engine, "ready")

    def states(self) -> list[Loaded]:
        return [Loaded(name, "classify", "onnx", "ready") for name in self.loaded]


class House:
    """One process."""

    def __init__(self, ledger: Ledger, mlflow=None) -> None:
        self.shelf = Shelf()
        self.published: list[dict[str, str]] = []
        self.now_s = 0.0
        self.table = Table()
        self.gateway = SimpleNamespace(routes=SimpleNamespace(exact={}), now=lambda: self.now_s)
        self.desk = Desk(ledger, self.gateway, self.table, self, mlflow)

    def publish(self) -> None:
        self.published.append({one.name: one.version for one in self.table.served})

    def knows(self, provider: str) -> bool:
        return provider == "builtin"


@pytest.fixture
async def ledger(tmp_path: Path):
    databases.lay(tmp_path)
    opened = Ledger.open(tmp_path, None, SystemClock())
    yield opened
    await opened.close()


@pytest.fixture
async def one(ledger: Ledger):
    """A process, with two versions of mood; the first is in production."""
    house = House(ledger)
    await house.desk.create(Model("mood", "model", "classify", ""), "ann")
    for number in (1, 2):
        await house.desk.add("mood", _new(number), "ann")
    await house.desk.move(Move("mood", "production", "why", "ann"), 1)
    return house


def _new(number: int) -> NewVersion:
    return NewVersion(source=f"file:/models/{number}")


def to(version: int) -> tuple[Move, int]:
    return Move("mood", "production", "why", "ann"), version


async def test_a_move_loads_first_and_is_known_when_it_returns(one: House):
    assert list(one.shelf.loaded) == ["mood:1"]
    assert one.shelf.loaded["mood:1"].sha256 == "d" * 64
    await one.desk.move(*to(2))
    assert list(one.shelf.loaded) == ["mood:1", "mood:2"]
    assert one.published[-1]["mood"] == one.published[-1]["mood@production"] == "mood:2"
    assert one.published[-1]["mood:1"] == "mood:1"


async def test_what_does_not_load_does_not_move(one: House):
    one.shelf.broken.add("mood:2")
    with pytest.raises(ModelLoadFailed):
        await one.desk.move(*to(2))
    assert one.published[-1]["mood"] == "mood:1"
    assert len(await one.desk.rows.events("mood", 10)) == 1


async def test_another_process_loads_before_it_serves(one: House, ledger: Ledger):
    other = House(ledger)
    await other.desk.refresh()
    assert other.shelf.loaded == {}  # nobody has asked for it: nothing is loaded
    await one.desk.move(*to(2))
    await other.desk.refresh()
    assert other.shelf.loaded == {}
    other.shelf.loaded["mood:2"] = other.table.entries["mood"].versions[2].spec
    await one.desk.rollback(Move("mood", "production", "why", "ann"))
    await other.desk.refresh()
    assert list(other.shelf.loaded) == ["mood:2", "mood:1"]
    assert other.published[-1]["mood"] == "mood:1"


async def test_a_process_that_cannot_load_goes_on_with_what_answers_and_tries_again(
    one: House, ledger: Ledger
):
    other = House(ledger)
    await other.desk.refresh()
    await other.shelf.load(other.table.entries["mood"].versions[1].spec)
    other.shelf.broken.add("mood:2")
    await one.desk.move(*to(2))
    await other.desk.refresh()
    assert other.published[-1]["mood"] == other.published[-1]["mood@production"] == "mood:1"
    assert other.table.failed == {
        "mood": "mood:2 is broken.",
        "mood@production": "mood:2 is broken.",
    }
    await following.look(other.desk, None, {})
    assert other.published[-1]["mood"] == "mood:1"
    other.shelf.broken.clear()
    await following.look(other.desk, None, {})
    assert other.published[-1]["mood"] == "mood:2"
    assert other.table.failed == {}


async def test_a_version_that_is_gone_is_not_gone_on_with(one: House, ledger: Ledger):
    other = House(ledger)
    await other.desk.refresh()
    await other.shelf.load(other.table.entries["mood"].versions[1].spec)
    other.shelf.broken.add("mood:2")
    await one.desk.move(*to(2))
    await one.desk.archive("mood", 1, "old", "ann")
    await other.desk.refresh()
    assert other.published[-1] == {
        "mood": "mood:2",
        "mood:2": "mood:2",
        "mood@production": "mood:2",
    }


async def test_the_chore_runs_when_it_is_due_and_ends_with_the_house(one: House):
    one.desk.tick()
    assert one.table.chore is None  # nothing has failed, and there is no MLflow
    one.table.failed = {"mood": "why"}
    one.desk.tick()
    first = one.table.chore
    assert first is not None
    await first
    assert one.table.failed == {}  # it loads by now
    one.table.failed = {"mood": "why"}
    one.desk.tick()
    assert one.table.chore is first  # not due yet
    one.now_s += following.RETRY_S
    one.desk.tick()
    assert one.table.chore is not first
    await one.desk.close()
    assert one.table.chore.done()


async def test_a_look_that_fails_leaves_everything_and_the_next_one_goes_on(ledger: Ledger):
    class Away:
        poll_s = 60.0

        def __init__(self) -> None:
            self.version = "1"

        async def pinned(self, source: str) -> str:
            if not self.version:
                raise UpstreamUnreachable("It is away.")
            return f"mlflow:tickets/{self.version}"

        async def fetch(self, source: str) -> None:
            """It is here."""

        def place(self, source: str) -> str:
            return f"file:/kept/{source[-1]}"

    mlflow = Away()
    house = House(ledger, mlflow)
    await house.desk.create(Model("mood", "model", "classify", ""), "ann")
    made = await house.desk.add("mood", NewVersion(source="mlflow:tickets@champion"), "ann")
    assert (made.source, made.origin) == ("mlflow:tickets/1", "mlflow:tickets@champion")
    seen: dict[str, str] = {}
    mlflow.version = ""
    await following.look(house.desk, mlflow, seen)
    assert house.published[-1]["mood"] == "mood:1"
    mlflow.version = "2"
    await following.look(house.desk, mlflow, seen)
    assert house.published[-1]["mood"] == "mood:2"
    assert house.table.entries["mood"].versions[2].spec.source == "file:/kept/2"
    await following.look(house.desk, mlflow, seen)
    assert house.table.entries["mood"].model.versions == 2  # nothing has moved


async def test_a_version_that_another_process_has_just_made_can_be_moved_to(
    one: House, ledger: Ledger
):
    other = House(ledger)
    await other.desk.refresh()
    await one.desk.add("mood", _new(3), "ann")
    assert 3 not in other.table.entries["mood"].versions
    assert (await other.desk.move(*to(3))).version == 3
    assert list(other.shelf.loaded) == ["mood:3"]


async def test_a_provider_that_is_gone_from_the_configuration_takes_no_alias(ledger: Ledger):
    house = House(ledger)
    await house.desk.create(Model("talk", "model", "classify", ""), "ann")
    await house.desk.add("talk", NewVersion(source="builtin:sentiment"), "ann")
    house.knows = lambda _provider: False
    with pytest.raises(ModelLoadFailed, match="no provider `builtin`"):
        await house.desk.move(Move("talk", "production", "why", "ann"), 1)


async def test_a_head_is_a_classifiers_and_has_a_bound(one: House, monkeypatch):
    await one.desk.create(Model("vectors", "model", "embed", ""), "ann")
    await one.desk.create(Model("greet", "prompt", "", ""), "ann")
    with pytest.raises(UnsupportedOperation, match="trained for classify"):
        await one.desk.check_head("vectors")
    with pytest.raises(InvalidValue, match="`greet` is a prompt"):
        await one.desk.check_head("greet")
    monkeypatch.setattr(desk_module, "WEIGHTS_BYTES_MAX", 3)
    with pytest.raises(InvalidValue, match="has 4 bytes, at most 3"):
        await one.desk.add_head("mood", NewVersion(weights=b"1234"), "ann")
    with pytest.raises(NotFound):
        one.desk.entry("none")

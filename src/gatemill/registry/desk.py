"""What one can do with models, versions and aliases.

Rule: an alias moves only to what has been loaded and probed, and the move is known here before whoever
asked for it hears of it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import structlog

from gatemill.core.errors import (
    Conflict,
    GatemillError,
    InvalidValue,
    ModelLoadFailed,
    NotFound,
    UnsupportedOperation,
)
from gatemill.core.model import TASKS
from gatemill.core.tasks import spawn
from gatemill.ledger.registry_rows import Model, NewVersion
from gatemill.local.builtin import cards
from gatemill.registry import following, prompts, sources
from gatemill.registry.naming import check_alias, check_description, check_name, check_reason
from gatemill.registry.reading import Reading
from gatemill.registry.table import served_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatemill.core.model import ModelSpec
    from gatemill.gateway.parts import Gateway
    from gatemill.ledger.ledger import Ledger
    from gatemill.ledger.registry_rows import Move, Moved, Version
    from gatemill.local.shelf import Shelf
    from gatemill.registry.mlflow import Mlflow
    from gatemill.registry.prompts import Prompt
    from gatemill.registry.table import Entry, Table

CARD_CHARS_MAX = 16_384
JSON_BYTES_MAX = 16_384  # of options, params and metrics, each
WEIGHTS_BYTES_MAX = 4 << 20  # of one head


class Serving(Protocol):
    """What becomes of the names of the registry; the house satisfies it."""

    shelf: Shelf

    def publish(self) -> None:
        """The names of the table, and the running experiments, are served from now on. Never waits."""
        ...

    def knows(self, provider: str) -> bool:
        """The configuration has this provider."""
        ...


class Desk:
    """One for the house."""

    def __init__(
        self,
        ledger: Ledger,
        gateway: Gateway,
        table: Table,
        serving: Serving,
        mlflow: Mlflow | None = None,
    ) -> None:
        """`mlflow` is None where the configuration names no server."""
        self.rows = ledger.registry
        self.table = table
        self._gateway = gateway
        self._serving = serving
        self._mlflow = mlflow
        self._reading = Reading(self.rows, table, mlflow)
        self._seen: dict[str, str] = {}  # where MLflow's aliases pointed; see following.look

    # --- Names -----------------------------------------------------------------------------------

    async def create(self, new: Model, actor: str) -> Model:
        """A name without versions. Raises InvalidValue and Conflict."""
        name, kind, task = new.name, new.kind, new.task
        check_name(name)
        check_description(new.description)
        if kind not in ("model", "prompt"):
            raise InvalidValue("`kind`: send model or prompt.", param="kind")
        if kind == "model" and task not in TASKS:
            raise InvalidValue(f"`task`: send one of {', '.join(TASKS)}.", param="task")
        if kind == "prompt" and task:
            raise InvalidValue("`task`: a prompt has none. Leave it out.", param="task")
        if kind == "model" and name in self._gateway.routes.exact:
            raise Conflict(
                f"`{name}` is a name of [models] in the configuration file, which would go before this"
                " one. Choose another.",
                param="name",
            )
        if kind == "model" and new.team_id:
            raise InvalidValue(
                "`team_id`: is for prompts. Keys name the models that they may use.",
                param="team_id",
            )
        made = await self.rows.create(new, actor)
        await self.refresh()
        return made

    async def give(self, name: str, team_id: str, actor: str) -> Model:
        """The prompt is for the keys of this team; "" is everybody. Raises NotFound, InvalidValue."""
        made = await self.rows.give(name, team_id, actor)
        await self.refresh()
        return made

    async def delete(self, name: str, reason: str, actor: str) -> None:
        """The name is gone. Raises NotFound and InvalidValue."""
        check_reason(reason)
        await self.rows.delete(name, reason, actor)
        await self.refresh()

    # --- Versions --------------------------------------------------------------------------------

    async def add(self, name: str, new: NewVersion, actor: str, *, once: bool = False) -> Version:
        """The next version of a model, from `new.source`.

        Its files are looked at, but nothing is loaded. Raises InvalidValue and its kinds, NotFound,
        Conflict, ModelLoadFailed, ExtraNotInstalled.
        """
        model = await self._of_kind(name, "model")
        _check_told(new)
        source = sources.read(new.source)
        sources.check_options(new.options)
        sources.check_digest(new.sha256)
        engine = sources.engine_of(source, model.task, new.engine)
        if source.scheme == sources.MLFLOW:
            new = await self._pinned(new)
        elif not source.runs_here:
            self._check_provider(source, model, new)
        new = msgspec.structs.replace(new, engine=engine)
        if source.runs_here:
            spec = self._reading.spec(f"{name}:new", model.task, new)
            digest = await self._serving.shelf.examine(spec)
            new = msgspec.structs.replace(new, sha256=digest)
        made = await self.rows.add(name, new, actor, once=once)
        await self.refresh()
        return made

    async def add_prompt(
        self,
        name: str,
        said: tuple[Any, dict[str, Any] | None],
        new: NewVersion,
        actor: str,
    ) -> Version:
        """The next version of a prompt; `said` are its template and its variables, as they were sent.

        Raises InvalidValue and its kinds, NotFound, Conflict.
        """
        await self._of_kind(name, "prompt")
        _check_told(new)
        template = prompts.read(*said, new.params)
        text = msgspec.json.encode(template).decode()
        made = await self.rows.add(name, msgspec.structs.replace(new, template=text), actor)
        await self.refresh()
        return made

    async def add_head(self, name: str, new: NewVersion, actor: str) -> Version:
        """The next version of a model: a head that was trained. Raises NotFound, Conflict, InvalidValue."""
        await self.check_head(name)
        if len(new.weights) > WEIGHTS_BYTES_MAX:
            raise InvalidValue(
                f"The head has {len(new.weights)} bytes, at most {WEIGHTS_BYTES_MAX} are kept. Use fewer"
                " labels, or an embedding model with fewer dimensions.",
                param="examples",
            )
        made = await self.rows.add(name, new, actor)
        await self.refresh()
        return made

    async def check_head(self, name: str) -> None:
        """Raises NotFound, and UnsupportedOperation for what is no classifier."""
        model = await self._of_kind(name, "model")
        if model.task != "classify":
            raise UnsupportedOperation(
                f"`examples`: `{name}` has the task {model.task}; a head is trained for classify.",
                param="examples",
            )

    async def archive(self, name: str, number: int, reason: str, actor: str) -> Version:
        """The version is no longer served. Raises NotFound, Conflict, InvalidValue."""
        check_reason(reason)
        made = await self.rows.archive(name, number, reason, actor)
        await self.refresh()
        return made

    # --- Aliases ---------------------------------------------------------------------------------

    async def move(self, move: Move, version: int) -> Moved:
        """The alias points to the version, which answers. Raises NotFound, Conflict, ModelLoadFailed."""
        check_alias(move.alias)
        check_reason(move.reason)
        await self._probe(move.model, version)
        moved = await self.rows.move(move, version)
        await self.refresh()
        return moved

    async def rollback(self, move: Move) -> Moved:
        """The alias points to the version before, which answers. Raises as `move`."""
        check_reason(move.reason)
        version = await self.rows.before(move.model, move.alias)
        await self._probe(move.model, version)
        moved = await self.rows.rollback(move, version)
        await self.refresh()
        return moved

    async def drop_alias(self, move: Move) -> Moved:
        """The alias is gone. Raises NotFound, Conflict, InvalidValue."""
        check_reason(move.reason)
        moved = await self.rows.drop_alias(move)
        await self.refresh()
        return moved

    # --- What this process serves ------------------------------------------------------------------

    async def refresh(self) -> None:
        """What the database says now is served here. Raises LedgerUnavailable and Overloaded.

        Where a name means another version than before, and that one is in use here, the new one is
        loaded first. One that cannot be loaded here does not take the place of one that answers.
        """
        table = self.table
        async with table.lock:
            entries = await self._reading.entries()
            served = served_of(entries)
            failed: dict[str, str] = {}
            before = {one.name: one for one in table.served}
            ready = {each.name for each in self._serving.shelf.states() if each.state == "ready"}
            for name, now in served.items():
                old = before.get(name)
                if old is None or old.spec is None or old == now or old.spec.name not in ready:
                    continue
                error = await self._loads(now.spec)
                if error and old.version in served:
                    served[name], failed[name] = old, error
            table.entries, table.failed = entries, failed
            table.served = tuple(served.values())
        self._serving.publish()

    def tick(self) -> None:
        """What is due is done in the background; called every second or so."""
        table, now_s = self.table, self._gateway.now()
        is_idle = self._mlflow is None and not table.failed
        if is_idle or now_s < table.chore_due_s or (table.chore and not table.chore.done()):
            return
        pause_s = following.RETRY_S if self._mlflow is None else self._mlflow.poll_s
        table.chore_due_s = now_s + pause_s
        table.chore = spawn(following.look(self, self._mlflow, self._seen), "registry")

    async def close(self) -> None:
        """Nothing is done in the background any more."""
        if self.table.chore is not None:
            self.table.chore.cancel()
            await asyncio.wait([self.table.chore])

    # --- Probing ---------------------------------------------------------------------------------

    async def _probe(self, name: str, number: int) -> None:
        """The version answers here. Raises NotFound, Conflict, ModelLoadFailed, ExtraNotInstalled."""
        version = await self.rows.version(name, number)
        if version.archived:
            raise Conflict(
                f"Version {number} of `{name}` is archived. Add it again as a new version.",
                param="version",
            )
        entry = self.table.entries.get(name)
        if entry is None or number not in entry.versions:
            await self.refresh()  # another process has just made it
            entry = self.table.entries[name]
        base = entry.versions[number]
        if base.spec is not None:
            if self._mlflow is not None:
                await self._mlflow.fetch(version.source)
            await self._serving.shelf.load(base.spec)
        elif base.prompt is None and not self._serving.knows(base.provider):
            raise ModelLoadFailed(
                f"The configuration has no provider `{base.provider}`, so version {number} cannot"
                " answer. Add it to [providers] first.",
                param="version",
            )

    async def _loads(self, spec: ModelSpec | None) -> str:
        """Why it cannot be loaded; "" when it is."""
        if spec is None:
            return ""
        try:
            await self._serving.shelf.load(spec)
        except GatemillError as error:
            structlog.get_logger().error("model_not_switched", model=spec.name, code=error.code)
            return error.message
        return ""

    # --- Checks ----------------------------------------------------------------------------------

    async def _of_kind(self, name: str, kind: str) -> Model:
        model = await self.rows.get(name)
        if model.kind != kind:
            wanted = "`template`" if model.kind == "prompt" else "`source` or `examples`"
            raise InvalidValue(f"`{name}` is a {model.kind}. Send {wanted}.", param="source")
        return model

    def _check_provider(self, source: sources.Source, model: Model, new: NewVersion) -> None:
        if not self._serving.knows(source.scheme):
            raise InvalidValue(
                f"`source`: the configuration has no provider `{source.scheme[:60]}`. Add it to"
                " [providers] first.",
                param="source",
            )
        if new.options or new.sha256:
            raise InvalidValue(
                "`options` and `sha256` are for models that run here. Leave them out.",
                param="options",
            )
        if source.scheme != cards.PROVIDER:
            return
        card = cards.CARDS.get(source.rest)
        if card is None or card.task != model.task:
            fitting = [each.name for each in cards.CARDS.values() if each.task == model.task]
            names = ", ".join(f"builtin:{name}" for name in fitting) or "none"
            raise InvalidValue(
                f"`source`: `{source.rest[:60]}` is no built-in model for {model.task}; there is {names}.",
                param="source",
            )

    async def _pinned(self, new: NewVersion) -> NewVersion:
        """A version of MLflow's by its number, on this machine. Raises NotFound, ModelLoadFailed."""
        if self._mlflow is None:
            raise InvalidValue(
                "`source`: name the server in `registry.mlflow_url` first.", param="source"
            )
        source = await self._mlflow.pinned(new.source)
        await self._mlflow.fetch(source)
        return msgspec.structs.replace(new, source=source, origin=new.source)

    # --- Telling ---------------------------------------------------------------------------------

    def entry(self, name: str) -> Entry:
        """A name of the registry, as this process knows it. Raises NotFound."""
        found = self.table.entries.get(name)
        if found is None:
            raise NotFound(f"There is nothing called `{name[:100]}` in the registry.", param="name")
        return found

    def prompt(self, name: str, number: int) -> Prompt:
        """A version of a prompt. Raises NotFound."""
        return self.table.prompt(f"{name}:{number}")


def _check_told(new: NewVersion) -> None:
    if len(new.card) > CARD_CHARS_MAX:
        raise InvalidValue(f"`card`: at most {CARD_CHARS_MAX} characters are kept.", param="card")
    told: Mapping[str, Any] = {
        "options": new.options,
        "params": new.params,
        "metrics": new.metrics,
    }
    for name, value in told.items():
        if len(msgspec.json.encode(value)) > JSON_BYTES_MAX:
            raise InvalidValue(
                f"`{name}`: at most {JSON_BYTES_MAX} bytes of JSON are kept.", param=name
            )

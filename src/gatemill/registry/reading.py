"""Rows of the registry -> what serving each version takes. Rule: a version is read once; it never changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from gatemill.core.model import ModelSpec
from gatemill.ledger.registry_rows import NewVersion
from gatemill.registry import sources
from gatemill.registry.prompts import Prompt, Template
from gatemill.registry.table import Base, Entry

if TYPE_CHECKING:
    from gatemill.ledger.registry import Registry
    from gatemill.ledger.registry_rows import Alias, Live, Model
    from gatemill.registry.mlflow import Mlflow
    from gatemill.registry.table import Table

LOCAL = "local"  # the provider of what the shelf loads
_template = msgspec.json.Decoder(Template)
_options = msgspec.json.Decoder(dict[str, Any])


class Reading:
    """One for the desk."""

    def __init__(self, rows: Registry, table: Table, mlflow: Mlflow | None) -> None:
        self._rows = rows
        self._table = table
        self._mlflow = mlflow

    async def entries(self) -> dict[str, Entry]:
        """Every name of the registry. Raises LedgerUnavailable and Overloaded."""
        snapshot = await self._rows.snapshot()
        models = {model.name: model for model in snapshot.models}
        versions: dict[str, dict[int, Base]] = {name: {} for name in models}
        aliases: dict[str, dict[str, Alias]] = {name: {} for name in models}
        for each in snapshot.aliases:
            if each.model in models:
                aliases[each.model][each.alias] = each
        for live in snapshot.versions:
            model = models.get(live.model)
            if model is not None:
                versions[live.model][live.version] = await self._base(model, live)
        return {
            name: Entry(
                model,
                aliases[name],
                versions[name],
            )
            for name, model in models.items()
        }

    async def _base(self, model: Model, live: Live) -> Base:
        """What serving a version takes; what is known already is not read again."""
        known = self._table.entries.get(model.name)
        if known is not None and live.version in known.versions:
            return known.versions[live.version]
        name = f"{model.name}:{live.version}"
        if model.kind == "prompt":
            template, _ = await self._rows.content(model.name, live.version)
            return Base("", "", None, Prompt(name, _template.decode(template)))
        source = sources.taken_apart(live.source)
        if not source.runs_here:
            return Base(source.scheme, source.rest)
        new = NewVersion(
            source=live.source,
            engine=live.engine,
            sha256=live.sha256,
            options=_options.decode(live.options),
        )
        spec = self.spec(name, model.task, new)
        if live.engine == sources.HEAD:
            _, weights = await self._rows.content(model.name, live.version)
            spec = msgspec.structs.replace(spec, weights=weights)
        return Base(LOCAL, name, spec, None, live.source, live.origin)

    def spec(self, name: str, task: str, new: NewVersion) -> ModelSpec:
        """How the shelf loads a version; without the weights of a head."""
        source = new.source
        if source.startswith(f"{sources.MLFLOW}:") and self._mlflow is not None:
            source = self._mlflow.place(source)
        return ModelSpec(
            name=name,
            task=task,
            engine=new.engine,
            source=source,
            sha256=new.sha256,
            options=new.options,
        )

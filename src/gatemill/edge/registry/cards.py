"""What the registry holds, as JSON. Rule: a key that is no admin's learns what it may use, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gatemill.gateway.routes import allows

if TYPE_CHECKING:
    from gatemill.core.call import Key
    from gatemill.core.ports import Json
    from gatemill.ledger.registry_rows import Event, Moved, Version
    from gatemill.registry.desk import Desk
    from gatemill.registry.table import Entry

OWNER = "registry"


def model(desk: Desk, name: str) -> Json:
    """A name, with its versions and aliases, for admins. Raises NotFound."""
    entry = desk.entry(name)
    number = entry.number()
    failed = {said: why for said, why in desk.table.failed.items() if _is_of(said, name)}
    return {
        "id": name,
        "object": "model",
        "created": int(entry.model.created_at),
        "owned_by": OWNER,
        "kind": entry.model.kind,
        "task": entry.model.task or None,
        "description": entry.model.description,
        "team_id": entry.model.team_id,
        "version": f"{name}:{number}" if number else None,
        "versions": list(entry.versions),
        "aliases": {alias: each.version for alias, each in entry.aliases.items()},
        "created_by": entry.model.created_by,
        # Names that go on meaning an older version here, because the newer one cannot be loaded.
        "failed": failed,
    }


def known(desk: Desk, key: Key, said: str) -> Json | None:
    """What GET /v1/models/{model} says besides OpenAI's fields; None for what is not in the registry."""
    found = desk.table.find(said)
    if key.may("admin:read") and said in desk.table.entries:
        return model(desk, said)
    if found is None:
        return None
    entry, number = found
    name = entry.model.name
    if not (key.may("admin:read") or (entry.model.kind == "model" and _may_see(key, said, name))):
        return None
    return {
        "id": said,
        "object": "model",
        "created": int(entry.model.created_at),
        "owned_by": OWNER,
        "kind": entry.model.kind,
        "task": entry.model.task or None,
        "version": f"{name}:{number}",
    }


def version(kind: str, task: str, found: Version) -> Json:
    """A version."""
    said: Json = {
        "object": "model.version",
        "id": f"{found.model}:{found.version}",
        "model": found.model,
        "version": found.version,
        "kind": kind,
        "task": task or None,
        "source": found.source or None,
        "origin": found.origin or None,
        "engine": found.engine or None,
        "sha256": found.sha256 or None,
        "options": found.options,
        "params": found.params,
        "metrics": found.metrics,
        "card": found.card,
        "size_bytes": found.size,
        "archived": found.archived,
        "created_at": found.created_at,
        "created_by": found.created_by,
    }
    if found.template:
        told = msgspec.json.decode(found.template)
        said |= {"template": told["messages"], "variables": told["variables"]}
        said["params"] = told["params"]
    return said


def moved(entry: Entry, name: str, found: Moved) -> Json:
    """What became of an alias."""
    base = entry.versions.get(found.version)
    return {
        "object": "model.alias",
        "model": name,
        "alias": found.alias,
        "version": found.version or None,
        "previous": found.previous or None,
        # It runs here, is loaded, and has answered a request.
        "loaded": base is not None and base.spec is not None,
    }


def event(found: Event) -> Json:
    """A move of an alias."""
    return {
        "object": "model.event",
        "id": found.id,
        "model": found.model,
        "alias": found.alias,
        "action": found.action,
        "from_version": found.from_version or None,
        "to_version": found.to_version or None,
        "reason": found.reason,
        "actor": found.actor,
        "at": found.at,
    }


def _is_of(said: str, name: str) -> bool:
    return said == name or said.startswith((f"{name}@", f"{name}:"))


def _may_see(key: Key, said: str, name: str) -> bool:
    return allows(key, said) or allows(key, name)

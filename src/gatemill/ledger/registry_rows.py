"""The registry's rows as the house knows them. Rule: reading only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gatemill.core.errors import Conflict, NotFound
from gatemill.ledger import queries

if TYPE_CHECKING:
    from gatemill.ledger.database import Database

MODELS_MAX = 1_000
VERSIONS_MAX = 2_000  # of all names together that are not archived
ALIASES_MAX = 20  # of one name

_SQL = queries.load("registry")


class Model(Struct, frozen=True):
    """A name, and what it can do."""

    name: str
    kind: str  # "model" or "prompt"
    task: str  # a word of core.model.TASKS; "" for a prompt
    description: str
    versions: int = 0  # numbers given out so far
    created_at: float = 0.0  # Unix time
    created_by: str = ""  # "cli" or the id of the admin's key
    team_id: str = ""  # of a prompt: whose keys may use it; "" is everybody


class NewVersion(Struct, frozen=True, kw_only=True):
    """A version that nobody has stored yet."""

    source: str = (
        ""  # "file:/dir", "hf:owner/name@commit", "builtin:sentiment", "openai:gpt-4o-mini"
    )
    origin: str = ""  # what the caller named, where it was resolved: "mlflow:name@champion"
    engine: str = ""  # a word of core.model.ENGINES; "" for a provider's model and for prompts
    sha256: str = ""
    options: dict[str, Any] = {}  # of the engine
    params: dict[str, Any] = {}  # of a prompt: fields of the request; of a model: for people
    metrics: dict[str, Any] = {}
    card: str = ""  # Markdown, for people
    template: str = ""  # JSON of registry.prompts.Template
    weights: bytes = b""  # safetensors of a head


class Version(NewVersion, frozen=True, kw_only=True):
    """A version, without its weights."""

    model: str
    version: int
    size: int
    archived: bool
    created_at: float
    created_by: str


class Live(Struct, frozen=True):
    """What serving a version takes; its content is read apart."""

    model: str
    version: int
    source: str
    origin: str
    engine: str
    sha256: str
    options: str  # JSON
    size: int


class Alias(Struct, frozen=True):
    """Where an alias points."""

    model: str
    alias: str
    version: int
    event_id: int
    moved_at: float
    moved_by: str


class Event(Struct, frozen=True):
    """One move of an alias; version 0 is none."""

    id: int
    model: str
    alias: str
    action: str  # "set", "rollback" or "delete"
    from_version: int
    to_version: int
    before_id: int
    reason: str
    actor: str
    at: float  # Unix time


class Move(Struct, frozen=True):
    """What is to become of an alias."""

    model: str
    alias: str
    reason: str
    actor: str
    if_current: int | None = None  # refused unless it points there now; 0: unless there is none


class Moved(Struct, frozen=True):
    """What became of it."""

    alias: str
    version: int
    previous: int  # 0: there was none


class Snapshot(Struct, frozen=True):
    """All that is served, as it was at one moment."""

    models: tuple[Model, ...]
    versions: tuple[Live, ...]
    aliases: tuple[Alias, ...]


def snapshot(database: Database) -> Snapshot:
    """All that is served, as it was at one moment."""
    with database.snapshot():
        models = database.rows(_SQL["list_models"], {"limit": MODELS_MAX})
        versions = database.rows(_SQL["live_versions"], {"limit": VERSIONS_MAX})
        aliases = database.rows(_SQL["list_aliases"], {"limit": MODELS_MAX * ALIASES_MAX})
    return Snapshot(
        models=msgspec.convert(models, tuple[Model, ...]),
        versions=msgspec.convert(versions, tuple[Live, ...]),
        aliases=msgspec.convert(aliases, tuple[Alias, ...]),
    )


def model(database: Database, name: str) -> Model:
    """A name. Raises NotFound."""
    found = database.rows(_SQL["read_model"], {"name": name})
    if not found:
        raise NotFound(
            f"There is nothing called `{name[:100]}` in the registry. POST /v1/models makes a name.",
            param="name",
        )
    return msgspec.convert(found[0], Model)


def version(database: Database, name: str, number: int) -> Version:
    """A version, archived or not. Raises NotFound."""
    model(database, name)
    found = database.rows(_SQL["read_version"], {"model": name, "version": number})
    if not found:
        raise no_version(name, number)
    return read(found[0])


def live_version(database: Database, name: str, number: int) -> Version:
    """A version that is served. Raises NotFound and Conflict."""
    found = version(database, name, number)
    if found.archived:
        raise Conflict(
            f"Version {number} of `{name}` is archived. Add it again as a new version.",
            param="version",
        )
    return found


def read(row: dict[str, Any]) -> Version:
    """The version of a row, which is changed."""
    for name in ("options", "params", "metrics"):
        row[name] = msgspec.json.decode(row[name])
    row["archived"] = bool(row["archived"])
    return msgspec.convert(row, Version)


def alias_of(database: Database, name: str, alias: str) -> Alias:
    """An alias. Raises NotFound."""
    found = find_alias(database, name, alias)
    if found is None:
        raise NotFound(f"`{name}` has no alias `{alias[:100]}`.", param="alias")
    return found


def find_alias(database: Database, name: str, alias: str) -> Alias | None:
    """An alias, None when there is none. Raises NotFound for an unknown name."""
    model(database, name)
    found = database.rows(_SQL["read_alias"], {"model": name, "alias": alias})
    return msgspec.convert(found[0], Alias) if found else None


def earlier(database: Database, current: Alias) -> Event:
    """The event that put the version in force to which a rollback leads. Raises Conflict."""
    event = _event(database, current.event_id)
    earlier = _event(database, event.before_id) if event is not None and event.before_id else None
    if earlier is None:
        raise Conflict(
            f"`{current.model}@{current.alias}` has pointed to no other version before. Move it with"
            " PUT instead.",
            param="alias",
        )
    return earlier


def _event(database: Database, event_id: int) -> Event | None:
    found = database.rows(_SQL["read_event"], {"id": event_id})
    return msgspec.convert(found[0], Event) if found else None


def no_version(name: str, number: int) -> NotFound:
    """The error for a version that is not there."""
    return NotFound(
        f"`{name}` has no version {number}. GET /v1/models/{name}/versions lists them.",
        param="version",
    )

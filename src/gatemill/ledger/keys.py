"""Keys: their secrets, their rows, and the table that the hot path asks. Rule: a secret is shown once and stored nowhere.

A secret is `gm-<id>-<43 characters>`: the id is public and names the key everywhere, the rest is 256
random bits. The database holds HMAC-SHA256(pepper, secret), so that neither a stolen database nor a
stolen pepper file alone is worth anything. A slow hash would add nothing to 256 random bits.
"""

from __future__ import annotations

import functools
import hmac
import re
import secrets
import string
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import Struct

from gatemill.core import scopes
from gatemill.core.call import Key
from gatemill.core.errors import InvalidValue, NotFound
from gatemill.core.guard import NOTHING, Uses
from gatemill.core.limits import UNLIMITED, Limits
from gatemill.ledger import audit, delegation, guards, limits, names, queries, teams, users

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gatemill.ledger.database import Database

PREFIX = "gm"
ID_CHARS = 10
SECRET_CHARS = 43  # the fewest base62 characters that hold 256 bits
SECRET_BYTES_MAX = 128  # nothing longer is hashed
LIVE_KEYS_MAX = 100_000  # all of them are in memory, about 0.6 kB each
DEAD_KEYS_S = 30 * 86_400.0  # a key that ended longer ago than this is unknown instead of expired
_BLOCK_BYTES = 64  # of SHA-256
MODELS_MAX = 200
_ABOVE_MAX = 10_000  # pairs of a user and a team that are remembered

_ID_ALPHABET = string.digits + string.ascii_lowercase
_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SHAPE = re.compile(rb"gm-([0-9a-z]{10})-[0-9A-Za-z]{43}")

_SQL = queries.load("keys")
_INSERT = _SQL["insert_key"]
_READ = _SQL["read_key"]
_UPDATE = _SQL["update_key"]
_END = _SQL["end_key"]
_READ_VERSION = _SQL["read_keys_version"]
_COUNT_LIVE = _SQL["count_live_keys"]
_LOAD = _SQL["load_keys"]
_FIND_ADMIN = _SQL["find_admin"]
_LIST = _SQL["list_keys"]
_LAST_USE = _SQL["last_use"]
_SEARCH = _SQL["search_keys"]


# "cli" is whoever holds the database; anybody else is the key they came with.
Maker = str | Key


class NewKey(NamedTuple):
    """A key and the only copy of its secret."""

    key: Key
    secret: str


class Scope(Struct, frozen=True):
    """What a key may do, and whose it is."""

    name: str
    models: tuple[str, ...] = ("*",)
    admin: bool = False
    expires_s: float | None = None  # Unix time
    user_id: str = ""
    team_id: str = ""  # "" is that of its user
    limits: Limits = UNLIMITED
    scopes: tuple[str, ...] = scopes.DEFAULT
    guards: Uses = NOTHING


class ListedKey(Struct, frozen=True):
    """A key as people see it."""

    key: Key
    last_used_s: float | None  # Unix time; None: never, or longer ago than usage is kept


class Search(Struct, frozen=True):
    """Which keys; "" lets all of them pass."""

    limit: int
    now_s: float
    words: str = ""  # in its name, or the id of itself, of its user or of its team
    user: str = ""
    team: str = ""
    state: str = ""  # "live" or "ended"
    before_s: float = 1e11  # made before this moment
    before_id: str = ""  # or at it, with an id before this one


class KeyTable:
    """The keys at one moment; replaced as a whole when they change."""

    __slots__ = ("_by_id", "_inner", "_keys", "_outer", "version")

    def __init__(self, pepper: bytes, version: int, keys: Mapping[bytes, Key]) -> None:
        self.version = version
        self._keys = keys
        self._by_id = {key.id: key for key in keys.values()}
        # HMAC (RFC 2104) with the pepper's half of both hashes done once. hmac.digest costs 2.5 us
        # instead of 1.1, and gives up Python's lock to whatever thread waits for it.
        if len(pepper) > _BLOCK_BYTES:
            pepper = sha256(pepper).digest()
        block = pepper.ljust(_BLOCK_BYTES, b"\0")
        self._inner = sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = sha256(bytes(byte ^ 0x5C for byte in block))

    def __len__(self) -> int:
        return len(self._keys)

    def identify(self, secret: bytes) -> Key | None:
        """The key of a secret, None for an unknown one. The caller looks at expiry and revocation.

        A plain look-up is safe: it compares digests that nobody can steer without the pepper.
        """
        if len(secret) > SECRET_BYTES_MAX:
            return None
        inner = self._inner.copy()
        inner.update(secret)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return self._keys.get(outer.digest())

    def by_id(self, key_id: str) -> Key | None:
        """The key with an id, None for an unknown one. The caller looks at expiry and revocation."""
        return self._by_id.get(key_id)


def public_id(secret: bytes) -> str | None:
    """The id inside a well-formed secret, known or not; None for anything else."""
    match = _SHAPE.fullmatch(secret)
    return match[1].decode() if match else None


def new_secret(key_id: str) -> str:
    """A fresh secret for a key: 256 bits from the system's source."""
    number = secrets.randbits(256)
    digits = []
    for _ in range(SECRET_CHARS):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return f"{PREFIX}-{key_id}-{''.join(digits)}"


def load(database: Database, pepper: bytes, now_s: float) -> KeyTable:
    """The table of the present keys."""
    # The version first: a change in between is then seen by the next look, never missed.
    version = read_version(database)
    rows = database.rows(_LOAD, {"dead_since_s": now_s - DEAD_KEYS_S})
    return KeyTable(pepper, version, {bytes.fromhex(row.pop("digest")): _key(row) for row in rows})


def read_version(database: Database) -> int:
    """The number of the keys' state; another number means that they changed."""
    return int(database.rows(_READ_VERSION)[0]["version"])


def create(
    database: Database, pepper: bytes, scope: Scope, now_s: float, maker: Maker = "cli"
) -> NewKey:
    """A new key, stored. Raises InvalidValue, and PermissionDenied for more than its maker has."""
    given = delegation.named(scope.scopes, admin=scope.admin)
    scope = msgspec.structs.replace(scope, scopes=given, admin="admin" in given)
    _check(scope)
    actor = _actor(maker, scope)
    if scope.expires_s is not None and not scope.expires_s > now_s:
        raise InvalidValue("The expiry must lie in the future.", param="expires_s")
    with audit.changing(database):
        users.check(database, scope.user_id)
        teams.check(database, scope.team_id)
        new = _insert(database, pepper, scope, now_s)
        detail = msgspec.to_builtins(scope)
        audit.add(database, audit.Entry(now_s, actor, "create", "key", new.key.id, detail))
    return new


def rotate(
    database: Database,
    pepper: bytes,
    key_id: str,
    grace_s: float,
    now_s: float,
    maker: Maker = "cli",
) -> NewKey:
    """A new key with the old one's name and scope; the old one works for `grace_s` more seconds.

    Raises NotFound, InvalidValue when the old key has ended or is being replaced already, and
    PermissionDenied when it is more than its maker's.
    """
    if not grace_s >= 0:
        raise InvalidValue("The grace must be 0 seconds or more.", param="grace_s")
    with audit.changing(database):
        old = _row(database, key_id)
        ended_s = old["revoked_s"], old["expires_s"]
        if ended_s[0] is not None or (ended_s[1] is not None and ended_s[1] <= now_s):
            raise InvalidValue(
                f"Key {key_id} has ended or is being replaced already. Create a new key instead.",
                param="id",
            )
        scope = _scope(old)
        actor = _actor(maker, scope)
        new = _insert(database, pepper, scope, now_s)
        database.run(_END, {"id": key_id, "revoked_s": now_s + grace_s})
        detail = {"new_id": new.key.id, "grace_s": grace_s}
        audit.add(database, audit.Entry(now_s, actor, "rotate", "key", key_id, detail))
    return new


def update(
    database: Database, key_id: str, changes: dict[str, Any], now_s: float, maker: Maker = "cli"
) -> Key:
    """The key with new values of `Scope`'s fields, but `admin` and `expires_s`; scopes only shrink.

    Raises NotFound, InvalidValue, and PermissionDenied for models that its maker has not.
    """
    with audit.changing(database):
        old = _scope(_row(database, key_id))
        new = limits.replaced(old, changes)
        if new.scopes != old.scopes:
            new = msgspec.structs.replace(new, scopes=delegation.shrunk(old.scopes, new.scopes))
        _check(new)
        actor = _actor(maker, new if new.models != old.models else None)
        if new.user_id != old.user_id:
            users.check(database, new.user_id)
        if new.team_id != old.team_id:
            teams.check(database, new.team_id)
        database.run(_UPDATE, {"id": key_id, **_stored(new)})
        if detail := audit.difference(old, new):
            audit.add(database, audit.Entry(now_s, actor, "update", "key", key_id, detail))
        return _key(_row(database, key_id))


def revoke(database: Database, key_id: str, now_s: float, actor: str = "cli") -> Key:
    """The key, which no longer works; revoking twice keeps the first time. Raises NotFound."""
    with audit.changing(database):
        _row(database, key_id)
        if database.run(_END, {"id": key_id, "revoked_s": now_s}):
            audit.add(database, audit.Entry(now_s, actor, "revoke", "key", key_id))
        return _key(_row(database, key_id))


def read(database: Database, key_id: str) -> ListedKey:
    """A key as people see it. Raises NotFound."""
    key = _key(_row(database, key_id))
    return ListedKey(key, database.rows(_LAST_USE, {"key_id": key_id})[0]["last_used_s"])


def listed(database: Database, limit: int) -> list[ListedKey]:
    """Keys of every state, newest first."""
    rows = database.rows(_LIST, {"limit": min(limit, LIVE_KEYS_MAX)})
    return [ListedKey(last_used_s=row.pop("last_used_s"), key=_key(row)) for row in rows]


def search(database: Database, wanted: Search) -> list[ListedKey]:
    """A page of keys, the newest first."""
    words = wanted.words.lower()
    for letter in "!%_":
        words = words.replace(letter, f"!{letter}")
    said = msgspec.structs.asdict(wanted) | {"pattern": f"%{words}%"}
    rows = database.rows(_SEARCH, said)
    return [ListedKey(last_used_s=row.pop("last_used_s"), key=_key(row)) for row in rows]


def has_admin(database: Database, now_s: float) -> bool:
    """Whether some admin key works at a moment or later; at 0.0: whether one was ever made."""
    return bool(database.rows(_FIND_ADMIN, {"now_s": now_s}))


def _actor(maker: Maker, made: Scope | None) -> str:
    """The name of who makes or changes a key, who has all that it is given. Raises PermissionDenied."""
    if isinstance(maker, str):
        return maker
    if made is not None:
        delegation.check_within(maker, made)
    return maker.id


def _insert(database: Database, pepper: bytes, scope: Scope, now_s: float) -> NewKey:
    if database.rows(_COUNT_LIVE, {"now_s": now_s})[0]["keys"] >= LIVE_KEYS_MAX:
        raise InvalidValue(
            f"There are {LIVE_KEYS_MAX} live keys, the most Gatemill keeps. Revoke some first.",
            param="keys",
        )
    # 36^10 ids: should one repeat, its primary key refuses it and the caller tries again.
    key_id = "".join(secrets.choice(_ID_ALPHABET) for _ in range(ID_CHARS))
    secret = new_secret(key_id)
    digest = hmac.digest(pepper, secret.encode(), "sha256").hex()
    database.run(_INSERT, {"id": key_id, "digest": digest, "created_s": now_s, **_stored(scope)})
    return NewKey(_key(_row(database, key_id)), secret)


def _row(database: Database, key_id: str) -> dict[str, Any]:
    rows = database.rows(_READ, {"id": key_id})
    if not rows:
        raise NotFound(
            "There is no key with this id. `gatemill keys list` shows the ids.", param="id"
        )
    return rows[0]


def _key(row: dict[str, Any]) -> Key:
    team_id = row["own_team_id"] or row["user_team_id"] or ""
    return Key(
        id=row["id"],
        name=row["name"],
        models=_models(row["models"]),
        admin=bool(row["admin"]),
        expires_s=row["expires_s"],
        revoked_s=row["revoked_s"],
        created_s=row["created_s"],
        user_id=row["user_id"],
        team_id=team_id,
        limits=limits.decode(row["limits"]),
        above=_above(row["user_id"], row["user_limits"], team_id, row["team_limits"]),
        scopes=_scopes(row["scopes"], admin=bool(row["admin"])),
        guards=guards.decode(row["guards"]),
        team_guards=guards.decode(row["team_guards"] or ""),
    )


@functools.lru_cache(_ABOVE_MAX)
def _models(text: str) -> tuple[str, ...]:
    return msgspec.json.decode(text, type=tuple[str, ...])


@functools.lru_cache(_ABOVE_MAX)
def _scopes(text: str, *, admin: bool) -> tuple[str, ...]:
    if admin:
        return scopes.ALL
    return msgspec.json.decode(text, type=tuple[str, ...]) if text else scopes.DEFAULT


@functools.lru_cache(_ABOVE_MAX)
def _above(
    user_id: str, user_limits: str | None, team_id: str, team_limits: str | None
) -> tuple[tuple[str, str, Limits], ...]:
    # None: there is no such user or team, which only keys that ended long ago can name.
    scopes = (("user", user_id, user_limits), ("team", team_id, team_limits))
    return tuple((scope, name, limits.decode(text)) for scope, name, text in scopes if text)


def _scope(row: dict[str, Any]) -> Scope:
    return Scope(
        name=row["name"],
        models=_models(row["models"]),
        admin=bool(row["admin"]),
        expires_s=row["expires_s"],
        user_id=row["user_id"],
        team_id=row["own_team_id"],
        limits=limits.decode(row["limits"]),
        scopes=_scopes(row["scopes"], admin=bool(row["admin"])),
        guards=guards.decode(row["guards"]),
    )


def _stored(scope: Scope) -> dict[str, Any]:
    row = msgspec.structs.asdict(scope)
    row["models"] = msgspec.json.encode(scope.models).decode()
    row["limits"] = limits.encode(scope.limits)
    row["scopes"] = msgspec.json.encode(scope.scopes).decode()
    row["guards"] = guards.encode(scope.guards)
    return row


def _check(scope: Scope) -> None:
    names.check_name(scope.name, "key")
    if not 0 < len(scope.models) <= MODELS_MAX or not _are_names(scope.models):
        raise InvalidValue(
            f"Name 1 to {MODELS_MAX} models or patterns, such as gpt-4o or claude-*; * is all.",
            param="models",
        )
    limits.encode(scope.limits)


def _are_names(models: Sequence[str]) -> bool:
    return all(0 < len(model) <= names.NAME_CHARS_MAX for model in models)

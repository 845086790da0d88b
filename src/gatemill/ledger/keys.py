"""Keys: their secrets, their rows, and the table that the hot path asks. Rule: a secret is shown once and stored nowhere.

A secret is `gm-<id>-<43 characters>`: the id is public and names the key everywhere, the rest is 256
random bits. The database holds HMAC-SHA256(pepper, secret), so that neither a stolen database nor a
stolen pepper file alone is worth anything. A slow hash would add nothing to 256 random bits.
"""

from __future__ import annotations

import hmac
import re
import secrets
import string
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import Struct

from gatemill.core.call import Key
from gatemill.core.errors import InvalidValue, NotFound
from gatemill.ledger import queries

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gatemill.ledger.sqlite import Database

PREFIX = "gm"
ID_CHARS = 10
SECRET_CHARS = 43  # the fewest base62 characters that hold 256 bits
SECRET_BYTES_MAX = 128  # nothing longer is hashed
LIVE_KEYS_MAX = 100_000  # all of them are in memory, about 0.6 kB each
DEAD_KEYS_S = 30 * 86_400.0  # a key that ended longer ago than this is unknown instead of expired
NAME_CHARS_MAX = 200
_BLOCK_BYTES = 64  # of SHA-256
MODELS_MAX = 200

_ID_ALPHABET = string.digits + string.ascii_lowercase
_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SHAPE = re.compile(rb"gm-([0-9a-z]{10})-[0-9A-Za-z]{43}")

_SQL = queries.load("keys")
_INSERT = _SQL["insert_key"]
_READ = _SQL["read_key"]
_END = _SQL["end_key"]
_RAISE_VERSION = _SQL["raise_keys_version"]
_READ_VERSION = _SQL["read_keys_version"]
_COUNT_LIVE = _SQL["count_live_keys"]
_LOAD = _SQL["load_keys"]
_LIST = _SQL["list_keys"]


class NewKey(NamedTuple):
    """A key and the only copy of its secret."""

    key: Key
    secret: str


class Scope(Struct, frozen=True):
    """What a new key may do."""

    name: str
    models: tuple[str, ...] = ("*",)
    admin: bool = False
    expires_s: float | None = None  # Unix time


class ListedKey(Struct, frozen=True):
    """A key as people see it."""

    key: Key
    last_used_s: float | None  # Unix time; None: never, or longer ago than usage is kept


class KeyTable:
    """The keys at one moment; replaced as a whole when they change."""

    __slots__ = ("_inner", "_keys", "_outer", "version")

    def __init__(self, pepper: bytes, version: int, keys: Mapping[bytes, Key]) -> None:
        self.version = version
        self._keys = keys
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


def create(database: Database, pepper: bytes, scope: Scope, now_s: float) -> NewKey:
    """A new key, stored. Raises InvalidValue."""
    _check(scope, now_s)
    with database.transaction():
        return _insert(database, pepper, scope, now_s)


def rotate(database: Database, pepper: bytes, key_id: str, grace_s: float, now_s: float) -> NewKey:
    """A new key with the old one's name and scope; the old one works for `grace_s` more seconds.

    Raises NotFound, and InvalidValue when the old key has ended or is being replaced already.
    """
    if not grace_s >= 0:
        raise InvalidValue("The grace must be 0 seconds or more.", param="grace_s")
    with database.transaction():
        old = _read(database, key_id)
        if old.revoked_s is not None or (old.expires_s is not None and old.expires_s <= now_s):
            raise InvalidValue(
                f"Key {key_id} has ended or is being replaced already. Create a new key instead.",
                param="id",
            )
        scope = Scope(old.name, old.models, old.admin, old.expires_s)
        new = _insert(database, pepper, scope, now_s)
        database.run(_END, {"id": key_id, "revoked_s": now_s + grace_s})
    return new


def revoke(database: Database, key_id: str, now_s: float) -> Key:
    """The key, which no longer works; revoking twice keeps the first time. Raises NotFound."""
    with database.transaction():
        _read(database, key_id)
        database.run(_END, {"id": key_id, "revoked_s": now_s})
        database.run(_RAISE_VERSION)
        return _read(database, key_id)


def listed(database: Database, limit: int) -> list[ListedKey]:
    """Keys of every state, newest first."""
    rows = database.rows(_LIST, {"limit": min(limit, LIVE_KEYS_MAX)})
    return [ListedKey(last_used_s=row.pop("last_used_s"), key=_key(row)) for row in rows]


def _insert(database: Database, pepper: bytes, scope: Scope, now_s: float) -> NewKey:
    if database.rows(_COUNT_LIVE, {"now_s": now_s})[0]["keys"] >= LIVE_KEYS_MAX:
        raise InvalidValue(
            f"There are {LIVE_KEYS_MAX} live keys, the most Gatemill keeps. Revoke some first.",
            param="keys",
        )
    # 36^10 ids: should one repeat, its primary key refuses it and the caller tries again.
    key_id = "".join(secrets.choice(_ID_ALPHABET) for _ in range(ID_CHARS))
    secret = new_secret(key_id)
    row = {
        "id": key_id,
        "name": scope.name,
        "digest": hmac.digest(pepper, secret.encode(), "sha256").hex(),
        "models": msgspec.json.encode(scope.models).decode(),
        "admin": scope.admin,
        "created_s": now_s,
        "expires_s": scope.expires_s,
    }
    database.run(_INSERT, row)
    database.run(_RAISE_VERSION)
    return NewKey(_read(database, key_id), secret)


def _read(database: Database, key_id: str) -> Key:
    rows = database.rows(_READ, {"id": key_id})
    if not rows:
        raise NotFound(
            "There is no key with this id. `gatemill keys list` shows the ids.", param="id"
        )
    return _key(rows[0])


def _key(row: dict[str, Any]) -> Key:
    row["models"] = msgspec.json.decode(row["models"])
    return msgspec.convert(row, Key, strict=False)


def _check(scope: Scope, now_s: float) -> None:
    if not 0 < len(scope.name.strip()) <= NAME_CHARS_MAX:
        raise InvalidValue(
            f"Give the key a name of 1 to {NAME_CHARS_MAX} characters.", param="name"
        )
    if not 0 < len(scope.models) <= MODELS_MAX or not _are_names(scope.models):
        raise InvalidValue(
            f"Name 1 to {MODELS_MAX} models or patterns, such as gpt-4o or claude-*; * is all.",
            param="models",
        )
    if scope.expires_s is not None and not scope.expires_s > now_s:
        raise InvalidValue("The expiry must lie in the future.", param="expires_s")


def _are_names(models: Sequence[str]) -> bool:
    return all(0 < len(model) <= NAME_CHARS_MAX for model in models)

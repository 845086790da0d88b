"""Who is signed in with a browser. Rule: the database holds no usable cookie; a session ends by itself.

A cookie is 256 random bits, and so is the token of a link that signs somebody in once. The database holds
HMAC-SHA256(pepper, cookie), as it does of keys.
"""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gatemill.core.errors import Overloaded
from gatemill.ledger import audit, queries

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.core.clock import Clock
    from gatemill.ledger.database import Database
    from gatemill.ledger.reader import Reader
    from gatemill.ledger.writer import Write

OF_ONE_MAX = 20  # sessions of one person; the oldest ends when there would be more
SESSIONS_MAX = 10_000
LINKS_MAX = 100  # that nobody has used yet; the oldest ends when there would be more
LINK_S = 1_800.0  # for which a link may be used, unless somebody says otherwise
TOUCH_S = 30.0  # how exactly it is known when somebody was last here
_SECRET_CHARS_MAX = 64
_PURPOSE = b"gatemill session\0"  # keeps these apart from digests of keys

_SQL = queries.load("sessions")
_INSERT = _SQL["insert_session"]
_READ = _SQL["read_session"]
_TOUCH = _SQL["touch_session"]
_DELETE = _SQL["delete_session"]
_DELETE_EXPIRED = _SQL["delete_expired_sessions"]
_DELETE_OLDER = _SQL["delete_older_sessions"]
_COUNT = _SQL["count_sessions"]
_INSERT_LINK = _SQL["insert_link"]
_TAKE_LINK = _SQL["take_link"]
_DELETE_ENDED_LINKS = _SQL["delete_ended_links"]
_DELETE_OLDER_LINKS = _SQL["delete_older_links"]


class Person(Struct, frozen=True):
    """Who signs in, and what for."""

    scopes: tuple[str, ...]
    key_id: str = ""  # the key they came with; "" where an identity provider named them
    subject: str = ""  # who that provider says they are

    @property
    def actor(self) -> str:
        """Their name in the audit log."""
        return self.key_id or f"oidc:{self.subject}"


class Session(Person, frozen=True, kw_only=True):
    """Somebody who is signed in."""

    digest: str
    created_at: float  # Unix time, as are the next two
    seen_at: float
    expires_at: float


class Patience(Struct, frozen=True):
    """How long a session lasts, in seconds."""

    idle_s: float  # without a request
    lifetime_s: float  # at most


class Sessions:
    """Part of an open ledger, as `ledger.sessions`."""

    def __init__(
        self, reader: Reader, write: Write, clock: Clock, pepper: Callable[[], bytes]
    ) -> None:
        """`write` runs a change in the thread that writes."""
        self._reader = reader
        self._write = write
        self._clock = clock
        self._pepper = pepper

    async def begin(self, person: Person, patience: Patience, address: str) -> str:
        """The cookie of a new session; it is in the audit log, with the address it came from.

        Raises Overloaded when too many people are signed in.
        """
        secret, now_s = secrets.token_urlsafe(32), self._clock.unix_s()
        session = Session(
            scopes=person.scopes,
            key_id=person.key_id,
            subject=person.subject,
            digest=self.derived("digest", secret),
            created_at=now_s,
            seen_at=now_s,
            expires_at=now_s + patience.lifetime_s,
        )
        await self._write(lambda db: _begin(db, session, patience.idle_s, address))
        return secret

    async def find(self, secret: str, patience: Patience) -> Session | None:
        """Who has this cookie; None where the session is over, or never was."""
        if len(secret) > _SECRET_CHARS_MAX:
            return None
        digest = self.derived("digest", secret)
        found = await self._reader.run(lambda db: db.rows(_READ, {"digest": digest}))
        if not found:
            return None
        session, now_s = _session(found[0]), self._clock.unix_s()
        if now_s >= session.expires_at or now_s - session.seen_at >= patience.idle_s:
            return None
        if now_s - session.seen_at >= TOUCH_S:
            await self._write(lambda db: db.run(_TOUCH, {"digest": digest, "seen_at": now_s}))
        return session

    async def end(self, session: Session) -> None:
        """They are signed out, and it is in the audit log."""
        now_s = self._clock.unix_s()

        def end(database: Database) -> None:
            with audit.noting(database):
                if database.run(_DELETE, {"digest": session.digest}):
                    about = (session.actor, "sign_out", "session", session.digest[:12])
                    audit.add(database, audit.Entry(now_s, *about))

        await self._write(end)

    async def refused(self, address: str, reason: str) -> None:
        """It is in the audit log that somebody could not sign in."""
        entry = audit.Entry(
            self._clock.unix_s(), "", "sign_in_refused", "session", "", _about(address, reason)
        )

        def note(database: Database) -> None:
            with audit.noting(database):
                audit.add(database, entry)

        await self._write(note)

    async def create_link(self, key_id: str, lifetime_s: float = LINK_S, actor: str = "cli") -> str:
        """A token that signs in once with the rights of this key: `/ui/login?token=...`.

        It ends after `lifetime_s`. The key is looked at when the token is used.
        """
        token, now_s = secrets.token_urlsafe(32), self._clock.unix_s()
        link = {
            "digest": self.derived("link", token),
            "key_id": key_id,
            "created_s": now_s,
            "until_s": now_s + lifetime_s,
        }
        await self._write(lambda db: _add_link(db, link, actor))
        return token

    async def take_link(self, token: str) -> str | None:
        """The id of the key that this token signs in with, once and only once; None otherwise."""
        if len(token) > _SECRET_CHARS_MAX:
            return None
        link = {"digest": self.derived("link", token), "now_s": self._clock.unix_s()}

        def take(database: Database) -> list[dict[str, Any]]:
            with database.transaction():
                return database.rows(_TAKE_LINK, link)

        found = await self._write(take)
        return str(found[0]["key_id"]) if found else None

    async def sweep(self, patience: Patience) -> int:
        """The number of sessions that were over and are gone."""
        now_s = self._clock.unix_s()
        return await self._write(lambda db: _sweep(db, now_s, patience.idle_s))

    def derived(self, purpose: str, secret: str) -> str:
        """What only we can make of a secret that a browser keeps: 64 hexadecimal digits."""
        text = b"%b%b\0%b" % (_PURPOSE, purpose.encode(), secret.encode())
        return hmac.digest(self._pepper(), text, "sha256").hex()


def _begin(database: Database, session: Session, idle_s: float, address: str) -> None:
    now_s = session.created_at
    with audit.noting(database):
        _sweep(database, now_s, idle_s)
        if database.rows(_COUNT)[0]["sessions"] >= SESSIONS_MAX:
            raise Overloaded("Too many people are signed in. Try again later.", retry_after_s=60)
        row: dict[str, Any] = msgspec.structs.asdict(session)
        row["scopes"] = msgspec.json.encode(session.scopes).decode()
        database.run(_INSERT, row)
        one = {"key_id": session.key_id, "subject": session.subject}
        database.run(_DELETE_OLDER, {**one, "most": OF_ONE_MAX})
        about = (session.actor, "sign_in", "session", session.digest[:12])
        audit.add(database, audit.Entry(now_s, *about, _about(address)))


def _add_link(database: Database, link: dict[str, Any], actor: str) -> None:
    now_s = link["created_s"]
    with audit.noting(database):
        database.run(_DELETE_ENDED_LINKS, {"now_s": now_s})
        database.run(_INSERT_LINK, link)
        database.run(_DELETE_OLDER_LINKS, {"most": LINKS_MAX})
        about = (actor, "create", "sign_in_link", link["digest"][:12])
        audit.add(database, audit.Entry(now_s, *about, {"key_id": link["key_id"]}))


def _sweep(database: Database, now_s: float, idle_s: float) -> int:
    database.run(_DELETE_ENDED_LINKS, {"now_s": now_s})
    return database.run(_DELETE_EXPIRED, {"now_s": now_s, "idle_since_s": now_s - idle_s})


def _about(address: str, reason: str = "") -> dict[str, Any]:
    said = {"address": address, "reason": reason}
    return {name: value for name, value in said.items() if value}


def _session(row: dict[str, Any]) -> Session:
    row["scopes"] = msgspec.json.decode(row["scopes"], type=tuple[str, ...])
    return Session(**row)

"""Where Redis is. Rule: an address that cannot be used is refused at the start, with the remedy."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from msgspec import Struct

from gatemill.core.errors import StartRefused

_EXAMPLE = "Write redis://[user:password@]host[:6379][/0], or rediss:// for TLS."


class Address(Struct, frozen=True):
    """One Redis server and one of its databases."""

    host: str
    port: int
    database: int
    user: str  # "" is Redis' default user
    password: str  # "" sends none
    tls: bool

    @property
    def label(self) -> str:
        """What a log line may show: no secret."""
        return f"{self.host}:{self.port}/{self.database}"


def address(url: str) -> Address:
    """The address that a URL names. Raises StartRefused; the message holds no part of the URL."""
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss") or parts.query or parts.fragment:
        raise StartRefused(f"This is no address of Redis. {_EXAMPLE}")
    database = parts.path.strip("/") or "0"
    try:
        port = 6379 if parts.port is None else parts.port
    except ValueError:
        port = 0
    if not port or not database.isascii() or not database.isdecimal():
        raise StartRefused(f"The port or the database of Redis is no number. {_EXAMPLE}")
    return Address(
        host=parts.hostname or "127.0.0.1",
        port=port,
        database=int(database),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        tls=parts.scheme == "rediss",
    )

"""The stores: is each reachable, is the schema current, do the clocks agree? Rule: nothing is made, nothing is changed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gatemill.core.errors import GatemillError, InvalidValue
from gatemill.core.finding import FAILURE, OK, WARNING, Finding
from gatemill.core.redis_address import address
from gatemill.dispatch.stream import place
from gatemill.ledger import keys, queries, schema
from gatemill.ledger.place import locate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gatemill.core.clock import Clock
    from gatemill.core.redis_address import Address
    from gatemill.ledger.place import Place
    from gatemill.settings import Settings

SKEW_S_MAX = 2.0
PATIENCE_S = 2.0
_PORTS = {"amqps": 5671, "kafka": 9092}
_LOOPBACK = ("127.", "::1", "localhost")


async def examined(settings: Settings, clock: Clock) -> list[Finding]:
    """All of them."""
    found = await asyncio.to_thread(lambda: list(database(settings, clock)))
    urls: dict[str, list[str]] = {}
    for name, url in _redis(settings):
        urls.setdefault(url, []).append(name)
    for url, names in urls.items():
        found += await redis(url, ", ".join(names), clock)
    broker = settings.jobs.broker
    if settings.jobs.dispatch in ("rabbitmq", "celery") and broker is not None:
        text = broker.get_secret_value()
        if text.startswith("amqp"):
            found.append(await reachable(text, "jobs.broker"))
    return found


def database(settings: Settings, clock: Clock) -> Iterator[Finding]:
    """The ledger's: there, current, with an admin key where others can reach us."""
    try:
        place = locate(settings.data_dir, settings.stores.database or None)
        if place.path is not None and not place.path.exists():
            yield Finding(OK, "database", f"{place.shown} will be made by the first start")
            if _is_public(settings):
                yield _no_admin()
            return
        yield from _schema(place, settings, clock)
    except GatemillError as error:
        fix = "start it, or correct stores.database"
        yield Finding(FAILURE, "database", error.message.rstrip("."), fix)


def _schema(place: Place, settings: Settings, clock: Clock) -> Iterator[Finding]:
    opened = place.open(writes=False)
    try:
        newest = queries.migrations()[-1].version
        found = schema.version(opened) if "migrations" in opened.tables() else 0
        if found < newest:
            text = f"{place.shown} has schema {found}, this version needs {newest}"
            yield Finding(FAILURE, "database", text, "gatemill db upgrade")
            return
        if found > newest:
            text = f"{place.shown} has schema {found}, this version knows {newest}"
            fix = "install the newer Gatemill again, or restore a backup from before it"
            yield Finding(FAILURE, "database", text, fix)
            return
        yield Finding(OK, "database", f"{place.shown} has schema {found}, the newest")
        if _is_public(settings) and not keys.has_admin(opened, clock.unix_s()):
            yield _no_admin()
        if place.path is None:
            yield skew("database", schema.now_s(opened), clock.unix_s())
    finally:
        opened.close()


async def redis(url: str, names: str, clock: Clock) -> list[Finding]:
    """Whether it answers, and what time it has."""
    try:
        where = address(url)
    except GatemillError as error:
        return [Finding(FAILURE, "redis", error.message, f"correct {names}")]
    try:
        async with asyncio.timeout(PATIENCE_S):
            told_s = await _time_s(where)
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        fix = f'start it, correct {names}, or set "memory" for one process'
        return [Finding(FAILURE, "redis", f"{where.label} does not answer ({names})", fix)]
    except ValueError as error:
        fix = f"correct the password in {names}, or the server"
        return [Finding(FAILURE, "redis", f"{where.label} refuses: {error}", fix)]
    return [
        Finding(OK, "redis", f"{where.label} answers ({names})"),
        skew("redis", told_s, clock.unix_s()),
    ]


async def _time_s(where: Address) -> float:
    """Unix time there. Raises OSError, and ValueError with the words of a refusal.

    A connection of its own: that of the gateway would note in its log what a doctor only asks.
    """
    reader, writer = await asyncio.open_connection(where.host, where.port, ssl=where.tls or None)
    try:
        if where.password:
            login = (where.user, where.password) if where.user else (where.password,)
            await _asked(reader, writer, "AUTH", *login)
        if where.database:
            await _asked(reader, writer, "SELECT", str(where.database))
        await _asked(reader, writer, "TIME")  # two texts follow, each after its length
        parts = [(await reader.readline(), await reader.readline())[1] for _ in range(2)]
        return int(parts[0]) + int(parts[1]) / 1e6
    finally:
        writer.close()


async def _asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *words: str) -> None:
    """The first line of the reply was read. Raises ValueError for a refusal."""
    parts = [word.encode() for word in words]
    head = b"*%d\r\n" % len(parts)
    writer.write(head + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts))
    line = await reader.readline()
    if not line or line.startswith(b"-"):
        raise ValueError(line[1:100].decode(errors="replace").strip() or "it hangs up")


async def reachable(url: str, option: str) -> Finding:
    """Whether something accepts connections there."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 5672)
    try:
        async with asyncio.timeout(PATIENCE_S):
            _, writer = await asyncio.open_connection(host, port)
        writer.close()
    except (OSError, TimeoutError):
        return Finding(
            FAILURE, "broker", f"nothing answers at {host}:{port}", f"start it, or correct {option}"
        )
    return Finding(OK, "broker", f"{host}:{port} accepts connections")


async def streams(urls: Mapping[str, str]) -> list[Finding]:
    """The brokers of queues and topics; `urls` are by the option that names them."""
    found = []
    for option, url in urls.items():
        try:
            place(url)
            found.append(await reachable(url, option))
        except InvalidValue as error:
            found.append(Finding(FAILURE, "broker", error.message.rstrip("."), f"correct {option}"))
        except ValueError:
            text = "the address has a port that is no number up to 65535"
            found.append(Finding(FAILURE, "broker", text, f"correct {option}"))
    return found


def skew(subject: str, their_s: float, our_s: float) -> Finding:
    """Whether two clocks agree."""
    apart_s = their_s - our_s
    if abs(apart_s) <= SKEW_S_MAX:
        return Finding(OK, "clock", f"agrees with that of {subject} to {abs(apart_s):.1f} s")
    text = f"is {abs(apart_s):.1f} s {'behind' if apart_s > 0 else 'ahead of'} that of {subject}"
    return Finding(WARNING, "clock", text, "timedatectl set-ntp true, on both machines")


def _redis(settings: Settings) -> Iterator[tuple[str, str]]:
    for name in ("counters", "cache"):
        url = getattr(settings.stores, name)
        if url != "memory":
            yield f"stores.{name}", url
    broker = settings.jobs.broker
    if broker is not None and broker.get_secret_value().startswith("redis"):
        yield "jobs.broker", broker.get_secret_value()


def _is_public(settings: Settings) -> bool:
    server = settings.server
    hosts = [server.host, *([server.admin_host] if server.admin_port is not None else [])]
    return any(not host.startswith(_LOOPBACK) for host in hosts)


def _no_admin() -> Finding:
    text = "others can reach this server, and there is no admin key: it will not start"
    return Finding(FAILURE, "keys", text, "gatemill keys create NAME --admin")

"""`python -m bench.pages`: every page of the dashboard over a ledger of ten million rows. Rule: each under 300 ms.

A real server is started on a database that was filled at once (bench/pages_fill.py); all pages of the
navigation are asked for, the pages that they lead to, one of each kind, and their twins; first with the file
dropped from the machine's cache as far as the system does that, then again. Exit code 0 when all kept it.
"""

from __future__ import annotations

import argparse
import asyncio
import html
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import httpx2
from msgspec import Struct

from bench import machine, pages_fill, process
from gatemill.core.clock import SystemClock
from gatemill.core.limits import Budget, Limits
from gatemill.ledger.ledger import Ledger

KEYS = 50
TIMES = 5  # that a warm page is asked for
MOST_MS = 300.0
START_S = 120.0
STOP_S = 60.0
DATABASE = "gatemill.db"
WALK_MAX = 200  # addresses
_RANGES = ("15min", "1h", "24h", "7d", "30d")
_MAIN = re.compile(r"<main.*</main>", re.DOTALL)
_NAVIGATION = re.compile(r'<nav id="nav".*?</nav>', re.DOTALL)
_LINK = re.compile(r'href="(/ui(?:/[^"#]*)?)"')
# What differs between two pages of one kind; one of each kind is enough.
_VALUE = re.compile(r"=[^&]*")
_CONFIG = """
[server]
discover = false
[alerts]
watch = false
[stores]
usage_retention_days = 365
[providers.near]
kind = "echo"
""" + "".join(
    f'[models.model-{number}]\ntargets = ["near/large-{number}"]\n'
    for number in range(pages_fill.MODELS)
)


class Seen(Struct):
    """What asking for an address took."""

    path: str
    status: int
    size: int
    cold_ms: float
    warm_ms: list[float] = []
    cpu_ms: float = 0.0  # of the server, for a warm one

    @property
    def is_good(self) -> bool:
        """It is there, and came in time."""
        return self.status == 200 and max(self.cold_ms, self.warm) < MOST_MS

    @property
    def warm(self) -> float:
        """Milliseconds of the middle one."""
        return median(self.warm_ms) if self.warm_ms else self.cold_ms


def main(arguments: argparse.Namespace) -> int:
    """The exit code."""
    folder = Path(
        arguments.keep or tempfile.mkdtemp(prefix="gatemill-pages-", dir=arguments.folder)
    )
    try:
        if not (folder / "data" / DATABASE).exists():
            fill(folder, arguments.rows)
        seen = measured(folder, TIMES)
    finally:
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)
    _print(seen, arguments.rows)
    return 0 if all(one.is_good for one in seen) else 1


def fill(folder: Path, rows: int) -> None:
    """The folder has a configuration, the secret of a key, and a database with so many rows of usage."""
    data = folder / "data"
    data.mkdir(parents=True)
    (folder / "gatemill.toml").write_text(_CONFIG)
    secret, ids = asyncio.run(_peopled(data))
    (folder / "key").write_text(secret)
    started_s = time.monotonic()

    def said(day: int) -> None:
        if sys.stderr.isatty():
            spent_s = time.monotonic() - started_s
            print(f"\rday {day} of {pages_fill.DAYS}, {spent_s:.0f} s", end="", file=sys.stderr)

    pages_fill.fill(data / DATABASE, ids, rows, time.time(), said)
    spent_s, size_gb = time.monotonic() - started_s, (data / DATABASE).stat().st_size / 1e9
    print(f"\r{rows:,} rows in {spent_s:.0f} s: {size_gb:.1f} GB", file=sys.stderr)


async def _peopled(data: Path) -> tuple[str, list[str]]:
    """The secret of an admin, and the keys that have asked; teams and users are there, too."""
    ledger = Ledger.open(data, None, SystemClock())
    admin = await ledger.create_key("dashboard", admin=True)
    for number in range(pages_fill.TEAMS):
        await ledger.people.create_team(f"team-{number}", f"Team {number}")
    for number in range(pages_fill.USERS):
        await ledger.people.create_user(
            f"user-{number}", f"User {number}", f"team-{number % pages_fill.TEAMS}"
        )
    limits = Limits(budgets=(Budget("day", 50_000_000), Budget("month", 900_000_000)))
    ids = []
    for number in range(KEYS):
        user = f"user-{number % pages_fill.USERS}"
        made = await ledger.create_key(f"key {number}", user_id=user, limits=limits)
        ids.append(made.key.id)
    await ledger.close()
    return admin.secret, ids


def measured(folder: Path, times: int) -> list[Seen]:
    """What every page took, of a server on what `fill` has made; warm ones are asked for `times` times."""
    port, data = machine.free_port(), folder / "data"
    command = [sys.executable, "-m", "gatemill", "serve", "--config", str(folder / "gatemill.toml")]
    command += ["--data-dir", str(data), "--port", str(port)]
    _drop(data / DATABASE)
    server = process.start(command, sorted(os.sched_getaffinity(0)), folder / "log")
    try:
        walk = Walk(server.pid, data / DATABASE, times)
        return asyncio.run(walk.run(f"http://127.0.0.1:{port}", (folder / "key").read_text()))
    finally:
        process.stop(server, STOP_S)


class Walk:
    """From page to page."""

    def __init__(self, pid: int, database: Path, times: int) -> None:
        self._pid = pid
        self._database = database
        self._times = times
        self._found: list[Seen] = []
        self._client: httpx2.AsyncClient

    async def run(self, url: str, key: str) -> list[Seen]:
        """Every page that can be reached by whoever has the key, one of each kind, with its twin."""
        async with httpx2.AsyncClient(base_url=url, timeout=120.0) as self._client:
            await _ready(self._client)
            site = {"sec-fetch-site": "same-origin"}
            answer = await self._client.post("/ui/login", data={"key": key}, headers=site)
            assert answer.status_code == 303, answer.text
            waiting = ["/ui", *(f"/ui?range={each}" for each in _RANGES)]
            kinds = set(map(_kind, waiting))
            while waiting and len(self._found) < WALK_MAX:
                text = await self._ask(waiting.pop(0))
                twin = re.search(r'class="twin" href="([^"]+)"', text)
                if twin is not None:
                    await self._ask(html.unescape(twin[1]))
                parts = [part for area in (_NAVIGATION, _MAIN) for part in area.findall(text)]
                for link in map(html.unescape, _LINK.findall("".join(parts))):
                    is_twin = link.partition("?")[0].endswith(".json")
                    if not is_twin and _kind(link) not in kinds:
                        kinds.add(_kind(link))
                        waiting.append(link)
        return self._found

    async def _ask(self, path: str) -> str:
        _drop(self._database)
        took_ms, answer = await self._timed(path)
        seen = Seen(path, answer.status_code, len(answer.content), took_ms)
        before_s = process.cpu_s(self._pid)
        for _ in range(self._times):
            seen.warm_ms.append((await self._timed(path))[0])
        if self._times:
            seen.cpu_ms = (process.cpu_s(self._pid) - before_s) / self._times * 1e3
        self._found.append(seen)
        return answer.text

    async def _timed(self, path: str) -> tuple[float, httpx2.Response]:
        began_s = time.perf_counter()
        answer = await self._client.get(path)
        return (time.perf_counter() - began_s) * 1e3, answer


async def _ready(client: httpx2.AsyncClient) -> None:
    async with asyncio.timeout(START_S):
        while True:
            try:
                if (await client.get("/readyz")).status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            await asyncio.sleep(0.2)


def _kind(path: str) -> str:
    """Addresses of one kind differ in what is behind the second word, and in the values of the query."""
    page, _, query = path.partition("?")
    words = page.split("/")
    shape = "/".join([*words[:3], *["*"] * len(words[3:])])
    if "range=" in query:
        return path
    return f"{shape}?{_VALUE.sub('', query)}"


def _drop(path: Path) -> None:
    """The system forgets what it has read of the file, as far as it does that for us."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _print(seen: list[Seen], rows: int) -> None:
    here = machine.describe()
    print(f"{rows:,} rows, {here.cores} cores of {here.processor}, {time.strftime('%Y-%m-%d')}\n")
    print(
        "| page | status | cold ms | warm ms | server CPU ms | KiB | |\n|---|---|---:|---:|---:|---:|---|"
    )
    for one in seen:
        mark = "" if one.is_good else "**over**"
        print(
            f"| {one.path[:80]} | {one.status} | {one.cold_ms:.0f} | {one.warm:.0f} | {one.cpu_ms:.0f}"
            f" | {one.size / 1024:.0f} | {mark} |"
        )
    slow = sum(not one.is_good for one in seen)
    print(f"\n{len(seen)} addresses, {slow} over {MOST_MS:.0f} ms or failed")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.pages", description=__doc__)
    parser.add_argument(
        "--rows", type=int, default=10_000_000, help="of usage; 1,000 bytes of disk each"
    )
    parser.add_argument("--folder", help="where the database is made; deleted afterwards")
    parser.add_argument("--keep", help="a folder that stays, and is used again when it is there")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(_arguments()))

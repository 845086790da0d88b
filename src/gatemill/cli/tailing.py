"""The access lines of a running gateway, as they come. Rule: one kept connection for each of its processes.

The kernel decides which process a connection reaches, so they are opened until all have been found. What breaks
off is opened again; a line is told once.
"""

from __future__ import annotations

import time
from collections import deque
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import msgspec

from gatemill.cli import exchange
from gatemill.cli.asking import ANSWER_BYTES_MAX, refused
from gatemill.cli.failure import Failure
from gatemill.cli.key_file import dev_key
from gatemill.cli.terminal import environment, note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatemill.cli.asking import Where

PATH = "/api/v1/logs"
PAUSE_S = 0.5
_PAGE = 2000
_TOLD_MAX = 4000  # request ids that are remembered, so that none is told twice
_TRIES = 8  # connections that are opened for each process until all are found


class _Ear:
    """One connection."""

    def __init__(self, where: Where) -> None:
        url = exchange.url_of(where)
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Failure(f"{url} is not a URL", fix="--url http://127.0.0.1:8700", code=2)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=exchange.SILENCE_S)
        self._root = parts.path.rstrip("/").removesuffix("/v1")
        key = where[1] or environment().get("GATEMILL_API_KEY") or dev_key(where[2])
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self.place = ""  # `next` of the last answer
        self.instance = ""

    def hear(self, asks: dict[str, str]) -> dict[str, Any]:
        """What came since. Raises OSError and HTTPException, and Failure where it is refused."""
        asks = {name: value for name, value in asks.items() if value}
        query = urlencode(asks | ({"after": self.place} if self.place else {}))
        self._connection.request("GET", f"{self._root}{PATH}?{query}", headers=self._headers)
        with self._connection.getresponse() as answer:
            body = answer.read(ANSWER_BYTES_MAX)
            if answer.status in {502, 503, 504}:
                raise HTTPException(f"the gateway answers {answer.status}")
        try:
            said = msgspec.json.decode(body)
        except msgspec.DecodeError as error:
            raise Failure("this is no Gatemill", fix="check --url") from error
        if answer.status != 200:
            raise refused(answer.status, said if isinstance(said, dict) else {})
        self.place, self.instance = said["next"], said["instance"]
        return dict(said)

    def close(self) -> None:
        self._connection.close()


class Tail:
    """All lines, from all processes."""

    def __init__(self, where: Where, asks: dict[str, str]) -> None:
        self._where = where
        self._asks = asks
        self._ears: list[_Ear] = []
        self._told: deque[str] = deque(maxlen=_TOLD_MAX)
        self._last_s = 0.0  # arrival of the newest line that was told
        self.missed = 0

    def newest(self, since: str, limit: int) -> list[dict[str, Any]]:
        """The newest lines, the oldest first. Raises Failure where nobody answers."""
        try:
            found = self._connect({**self._asks, "since": since, "limit": str(limit)})
        except (OSError, HTTPException) as error:
            self.close()
            fix = "gatemill serve, or name another gateway with --url"
            url = exchange.url_of(self._where)
            raise Failure(f"no gateway answers at {url}", fix=fix) from error
        return self._fresh(found)[-limit:]

    def follow(self, away_s_max: float) -> Iterator[dict[str, Any]]:
        """Further lines, for ever. Raises Failure when nobody has answered for `away_s_max`."""
        heard_s = time.monotonic()
        while True:
            try:
                yield from self._fresh(self._round())
                heard_s = time.monotonic()
            except (OSError, HTTPException) as error:
                if self._ears:
                    note("the gateway has gone; waiting for it")
                self.close()
                if time.monotonic() - heard_s > away_s_max:
                    url = exchange.url_of(self._where)
                    raise Failure(f"no gateway answers at {url}", fix="gatemill serve") from error
            time.sleep(PAUSE_S)

    def close(self) -> None:
        """All connections are closed."""
        for ear in self._ears:
            ear.close()
        self._ears.clear()

    def _round(self) -> list[dict[str, Any]]:
        if not self._ears:
            return self._connect(
                {**self._asks, "since": f"{self._last_s:.3f}", "limit": str(_PAGE)}
            )
        lines = []
        for ear in self._ears:
            said = ear.hear({**self._asks, "limit": str(_PAGE)})
            lines += said["data"]
            self.missed += said["missed"]
        return lines

    def _connect(self, asks: dict[str, str]) -> list[dict[str, Any]]:
        """A connection to each process, and what they have."""
        lines: list[dict[str, Any]] = []
        tries = 1
        while tries > 0:
            tries -= 1
            ear = _Ear(self._where)
            self._ears.append(ear)
            said = ear.hear(asks)
            if ear.instance in [other.instance for other in self._ears[:-1]]:
                self._ears.pop().close()
                continue
            lines += said["data"]
            missing = said["workers"] - len(self._ears)
            tries = _TRIES * said["workers"] if missing > 0 else 0
        if len(self._ears) < said["workers"]:
            note(f"{len(self._ears)} of {said['workers']} processes are heard")
        return lines

    def _fresh(self, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those that were not told yet, by their arrival."""
        fresh = [line for line in lines if line["request_id"] not in self._told]
        fresh.sort(key=lambda line: float(line["ts"]))
        self._told.extend(line["request_id"] for line in fresh)
        self._last_s = max([self._last_s, *(line["ts"] for line in fresh)])
        return fresh

"""A door and workers in processes of their own, which a test kills, freezes and starts again.

Rule: what was answered 202 is remembered; everything else may be lost.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatemill.ledger.place import locate
from quiet_ports import quiet_port
from running import process_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from gatemill.ledger.place import Place

# With this variable every proof runs with every engine; without it, each engine is proved once.
THOROUGH = "GATEMILL_TEST_KILLS" in os.environ
START_S = 120.0
END_S = 90.0  # for all jobs to end once the fire has stopped
_GATEMILL = (sys.executable, "-m", "gatemill")
WORKERS = ((*_GATEMILL, "worker"),) * 2


class Site:
    """One place of work. `database` "" is a file in its folder."""

    def __init__(
        self,
        folder: Path,
        config: str,
        *,
        database: str = "",
        workers: Sequence[Sequence[str]] = WORKERS,
        **environ: str,
    ) -> None:
        """`workers` are commands."""
        self.folder = folder
        file = folder / "gatemill.toml"
        file.write_text(config)
        self.port = quiet_port()
        self.data_dir = folder / "data"
        self.key = ""
        self.environ = process_environment(folder, file, self.data_dir) | {
            "PYTHONPATH": str(Path(__file__).parent),
            "GATEMILL_SERVER__PORT": str(self.port),
            "GATEMILL_STORES__DATABASE": database,
            **environ,
        }
        self._database = database
        self._commands = [(*_GATEMILL, "serve"), *workers]
        self._processes: list[subprocess.Popen[bytes]] = []
        self._log = (folder / "site.log").open("ab")

    @property
    def place(self) -> Place:
        """Where its ledger is."""
        return locate(self.data_dir, self._database or None)

    def open(self) -> None:
        """The door answers, and the workers are on their way."""
        self._processes = [self._started(self._commands[0])]
        self.wait_for_door()
        self.key = (self.data_dir / "dev.key").read_text().strip()
        self._processes += [self._started(command) for command in self._commands[1:]]

    def close(self) -> None:
        """All have ended, the workers first; as they do on SIGTERM."""
        for process in reversed(self._processes):
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self._processes:
            try:
                process.wait(START_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._log.close()

    def kill(self, number: int) -> None:
        """The process dies at once and is started again."""
        self._processes[number].kill()
        self._processes[number].wait()
        self._processes[number] = self._started(self._commands[number])

    def add(self, command: Sequence[str]) -> None:
        """One more process."""
        self._commands.append(command)
        self._processes.append(self._started(command))

    def start(self, number: int) -> None:
        """A process that has ended is started again."""
        self._processes[number] = self._started(self._commands[number])

    def signal(self, number: int, name: signal.Signals) -> None:
        """Something is said to a process."""
        self._processes[number].send_signal(name)

    def said(self) -> str:
        """What all processes have written so far."""
        return (self.folder / "site.log").read_text(errors="replace")

    def exit_code(self, number: int) -> int:
        """A process has ended by itself."""
        return self._processes[number].wait(START_S)

    @property
    def size(self) -> int:
        """Processes, the door among them, which has number 0."""
        return len(self._commands)

    def wait_for_door(self) -> None:
        """The door answers."""

        def answers() -> bool:
            try:
                return self._ask("GET", "/readyz")[0] == 200
            except (OSError, http.client.HTTPException):
                return False

        until(answers, START_S, f"{self.folder / 'site.log'}")

    def ask(self, method: str, path: str, said: Any = None, **headers: str) -> Any:
        """The JSON of an answer, asked for until there is one: the door may be away."""
        given_up_s = time.monotonic() + START_S
        while True:
            try:
                status, answer = self._ask(method, path, said, **headers)
            except (OSError, http.client.HTTPException):
                status, answer = 503, {}
            if status != 503:
                assert status < 300, (status, answer)
                return answer
            assert time.monotonic() < given_up_s, f"the door does not come back: {self._log.name}"
            time.sleep(0.02)  # until it is up again; there is nothing to wait for

    def submit(self, args: Mapping[str, Any], **more: Any) -> str:
        """The id of a job that was accepted, once, however often that had to be asked."""
        said = {"kind": "fire", "args": args, **more}
        answer = self.ask("POST", "/v1/jobs", said, **{"idempotency-key": secrets.token_hex(8)})
        return str(answer["id"])

    def _ask(self, method: str, path: str, said: Any = None, **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            sent = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
            body = None if said is None else json.dumps(said)
            connection.request(method, path, body, sent | headers)
            with connection.getresponse() as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        finally:
            connection.close()

    def _started(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            env=self.environ,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )


@contextmanager
def opened(site: Site) -> Iterator[Site]:
    """The site, for as long as the block."""
    try:
        site.open()
        yield site
    finally:
        site.close()


@contextmanager
def submitting(site: Site, clients: int, seed: int) -> Iterator[list[str]]:
    """Jobs are submitted during the block; the ids of those that were accepted."""
    accepted: list[str] = []
    stop = threading.Event()
    failed: list[BaseException] = []

    def work(number: int) -> None:
        rng = random.Random(seed * 1000 + number)
        try:
            while not stop.is_set():
                priority = rng.choice(("high", "default", "low"))
                accepted.append(site.submit({"seconds": rng.uniform(0, 0.3)}, priority=priority))
        except AssertionError as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield accepted
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failed, failed


def until(holds: Callable[[], bool], patience_s: float, what: str) -> None:
    """It holds, or the test fails with `what`."""
    given_up_s = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < given_up_s, f"not within {patience_s:g} s: {what}"
        time.sleep(0.05)  # another process decides; there is no event to wait for

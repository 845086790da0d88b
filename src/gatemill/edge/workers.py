"""Several processes behind one port, and the one that keeps them running.

The supervisor binds a socket for each worker and forks. On Linux the kernel spreads connections over
the sockets (SO_REUSEPORT); elsewhere the workers share one. A worker's socket outlives it: while it
is replaced, its connections wait instead of being refused. On SIGUSR2 each is replaced by one that
runs the code and the configuration of now, see rolling.py.
Rule: the supervisor serves nothing, loads nothing that serves, and starts no thread: it forks.
"""

from __future__ import annotations

import errno
import gc
import os
import selectors
import signal
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gatemill.core.errors import StartRefused
from gatemill.edge.rolling import Rolling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from gatemill.core.clock import Clock

QUICK_S = 5.0  # a worker that lives no longer died at once
QUICK_DEATHS_MAX = 5  # of one worker in a row; then something is wrong that a restart will not mend
_PAUSES_S = (0.0, 0.25, 0.5, 1.0)  # before it is started again, after so many of them
_PATIENCE_S = 10.0  # beyond the grace for open requests, until a worker is killed
_WORDS_BYTES_MAX = 4096
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2, signal.SIGCHLD)


class Seat:
    """What a worker is given: its number from 1, its sockets, a line to the supervisor."""

    __slots__ = ("admin", "anew", "folder", "line", "number", "rolls", "sockets")

    def __init__(
        self, number: int, sockets: tuple[socket.socket, ...], line: socket.socket
    ) -> None:
        """`line` is readable only when the supervisor has gone."""
        self.number = number
        self.sockets = sockets
        self.admin: frozenset[socket.socket] = frozenset()  # those of them for administration
        self.folder: Path | None = None  # where all workers leave their numbers
        self.line = line
        self.anew = False  # it begins as a new program, because the code may be another by now
        self.rolls = False  # the one before it goes when it is ready

    def say(self, word: str, text: str = "") -> None:
        """The supervisor hears it. Words: ready; reload, for all others; failed, with the reason."""
        message = f"{word} {' '.join(text.split())}".encode()[:_WORDS_BYTES_MAX]
        with suppress(OSError):  # it has gone, which the line tells, too
            self.line.sendall(message + b"\n")


def bound(host: str, port: int, count: int) -> list[tuple[socket.socket, ...]]:
    """Sockets for each of `count` workers, not listening yet. Raises OSError.

    Port 0 becomes one free port for all.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
    shares = sys.platform != "linux"
    # Without SO_REUSEPORT, so that a port which other workers have already is refused.
    first = [_bound(family, address, reuse=False) for family, address in addresses]
    if shares:
        return [tuple(first)] * count
    ports = [one.getsockname()[1] for one in first]
    for one in first:
        one.close()
    return [
        tuple(
            _bound(family, (address[0], given, *address[2:]), reuse=True)
            for (family, address), given in zip(addresses, ports, strict=True)
        )
        for _ in range(count)
    ]


def _bound(family: int, address: Any, *, reuse: bool) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        # A probe must listen: two that merely bind do not mind each other.
        if not reuse:
            made.listen()
        made.settimeout(0)
    except OSError:
        made.close()
        raise
    return made


class Worker:
    """One worker as the supervisor sees it: written by the supervisor alone."""

    def __init__(self, number: int, sockets: tuple[socket.socket, ...]) -> None:
        self.number = number
        self.sockets = sockets
        self.pid = 0  # 0: not running
        self.line: socket.socket | None = None  # our end of it
        self.heard = b""  # of a message that is not complete
        self.words = ""  # its last ones
        self.is_ready = False
        self.missed = False  # a reload, because it was not ready
        self.started_s = 0.0
        self.quick_deaths = 0  # in a row
        self.due_s: float | None = None  # when it is started; None while it runs, or should not

    def successor(self, now_s: float) -> Worker:
        """Another in the same seat, to be started now."""
        made = Worker(self.number, self.sockets)
        made.due_s = made.started_s = now_s
        return made


class Supervisor:
    """Keeps the workers running until it is told to stop."""

    def __init__(
        self,
        sockets: Sequence[tuple[socket.socket, ...]],
        work: Callable[[Seat, bool], int],
        say: Callable[..., None],
        clock: Clock,
        grace_s: float,
    ) -> None:
        """`grace_s` is for open requests at the end; `say` logs an event with fields.

        `work` is called in the worker's process and told whether it replaces a dead one; it gives
        the exit code.
        """
        self._workers = [Worker(number, own) for number, own in enumerate(sockets, start=1)]
        self._work = work
        self._say = say
        self._now = clock.monotonic_s
        self._grace_s = grace_s
        self._selector = selectors.DefaultSelector()
        self._alarm, self._alarmed = socket.socketpair()
        self._stops_at_s: float | None = None  # once stopping: when patience ends
        self._begun = False  # a first worker has been ready
        self._reason = ""  # why it gave up
        self._failed = False  # some worker did not end with 0
        self._is_bound = ends_with_terminal()
        self._rolling = Rolling(self._workers, say)
        self.folder: Path | None = None  # of the workers' numbers
        # Told of each process that has ended, whoever it was.
        self.buried: Callable[[int], None] = lambda _pid: None

    def run(self) -> int:
        """All workers have ended after a SIGTERM or SIGINT; the exit code. Raises StartRefused.

        SIGHUP goes to all workers. In a worker's process this does not return: SystemExit is raised.
        """
        self._alarm.settimeout(0)
        self._alarmed.settimeout(0)
        signal.set_wakeup_fd(self._alarmed.fileno())
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)
        self._selector.register(self._alarm, selectors.EVENT_READ)
        gc.collect()
        gc.freeze()  # what is not touched stays shared with the workers
        # The first alone: it makes the database, the folder and the development key.
        self._workers[0].due_s = self._now()
        while self._lives():
            for worker in self._due():
                self._start(worker)
            for key, _ in self._selector.select(self._wait_s()):
                if key.data is None:
                    self._signalled(self._alarm.recv(4096))
                else:
                    self._hear(key.data)
            self._reap()
        if self._reason:
            raise StartRefused(self._reason)
        return 1 if self._failed else 0

    # --- Life ------------------------------------------------------------------------------------

    def _lives(self) -> bool:
        return any(worker.pid or worker.due_s is not None for worker in self._all)

    @property
    def _all(self) -> list[Worker]:
        return [*self._workers, *self._rolling.leaving]

    def _due(self) -> Iterator[Worker]:
        now_s = self._now()
        for worker in self._workers:
            if worker.due_s is not None and worker.due_s <= now_s:
                yield worker

    def _wait_s(self) -> float | None:
        times = [worker.due_s for worker in self._workers if worker.due_s is not None]
        times += self._rolling.ends_at_s(self._now())
        if self._stops_at_s is not None:
            times.append(self._stops_at_s)
            if self._now() >= self._stops_at_s:
                self._send(signal.SIGKILL, self._all)
                self._stops_at_s = self._now() + _PATIENCE_S
        return max(0.0, min(times) - self._now()) if times else None

    def _start(self, worker: Worker) -> None:
        """A process sits in the worker's seat. In that process SystemExit is raised."""
        ours, theirs = socket.socketpair()
        replaces = worker.started_s > 0
        worker.due_s = None
        sys.stdout.flush()
        # A signal to the new process waits until it is no longer heard by our handlers there.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            pid = os.fork()
        except OSError as error:  # no room for another process now; the others serve
            ours.close()
            theirs.close()
            worker.due_s = self._now() + _PAUSES_S[-1]
            self._say("worker_not_started", worker=worker.number, reason=error.strerror)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            return
        if pid == 0:
            ours.close()
            self._leave(worker)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            seat = Seat(worker.number, worker.sockets, theirs)
            seat.folder = self.folder
            seat.anew, seat.rolls = self._rolling.begun, self._rolling.awaits(worker)
            raise SystemExit(self._work(seat, replaces))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        theirs.close()
        ours.settimeout(0)
        worker.pid, worker.line, worker.started_s = pid, ours, self._now()
        worker.heard, worker.words, worker.is_ready, worker.missed = b"", "", False, False
        self._selector.register(ours, selectors.EVENT_READ, worker)
        self._say("worker_started", worker=worker.number, worker_pid=pid)

    def _leave(self, own: Worker) -> None:
        """In a worker's process: nothing of the supervisor is left but the seat."""
        signal.set_wakeup_fd(-1)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        self._selector.close()
        self._alarm.close()
        self._alarmed.close()
        for worker in self._all:
            if worker.line is not None:
                worker.line.close()
            for one in worker.sockets:
                if one not in own.sockets:
                    one.close()

    def _hear(self, worker: Worker) -> None:
        assert worker.line is not None
        try:
            data = worker.line.recv(_WORDS_BYTES_MAX)
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(worker.line)
            worker.line.close()
            worker.line = None
            return
        *lines, worker.heard = (worker.heard + data).split(b"\n")
        for line in lines:
            word, _, text = line.decode(errors="replace").partition(" ")
            if word == "ready":
                self._ready(worker)
            elif word == "reload":
                self._reload(besides=worker)
            elif word == "failed":
                worker.words = text

    def _ready(self, worker: Worker) -> None:
        worker.is_ready = True
        if worker.missed:
            self._reload((worker,))
        if self._rolling.awaits(worker):
            self._rolling.arrived(worker, self._now() + self._grace_s + _PATIENCE_S)
            return
        if not self._begun and self._stops_at_s is None:
            self._begun = True
            for other in self._workers[1:]:
                other.due_s = self._now()
        if all(one.is_ready for one in self._workers):
            self._say("workers_ready", workers=len(self._workers))

    # --- Death -----------------------------------------------------------------------------------

    def _reap(self) -> None:
        for worker in self._all:
            if worker.pid:
                pid, status = os.waitpid(worker.pid, os.WNOHANG)
                if pid:
                    self.buried(pid)
                    if worker.line is not None:
                        self._hear(worker)  # its last words may be on the line
                    self._died(worker, os.waitstatus_to_exitcode(status))

    def _died(self, worker: Worker, code: int) -> None:
        """`code` is negative for the number of a signal."""
        lived_s = self._now() - worker.started_s
        pid, worker.pid = worker.pid, 0
        if worker.line is not None:
            self._selector.unregister(worker.line)
            worker.line.close()
            worker.line = None
        if self._stops_at_s is not None:
            # One that was still starting is ended by the signal itself.
            self._failed = self._failed or code not in (
                0,
                0 if worker.is_ready else -signal.SIGTERM,
            )
            for one in worker.sockets:  # or callers would wait for an answer of nobody
                if all(one not in other.sockets for other in self._all if other.pid):
                    one.close()
            return
        if self._rolling.gone(worker, pid, code):
            return
        fields = {"worker": worker.number, "worker_pid": pid, "exit_code": code}
        self._say("worker_died", **fields, lived_s=round(lived_s, 1), words=worker.words)
        is_quick = lived_s < QUICK_S or not worker.is_ready
        worker.quick_deaths = worker.quick_deaths + 1 if is_quick else 0
        worker.is_ready = False
        if not self._begun:
            self._give_up(worker.words or _last(worker.number, code))
        elif worker.quick_deaths >= QUICK_DEATHS_MAX:
            times = f"{QUICK_DEATHS_MAX} times in a row"
            why = worker.words or "see the log above"
            self._give_up(f"{_last(worker.number, code)}, {times}: {why}")
        else:
            worker.due_s = self._now() + _PAUSES_S[max(0, worker.quick_deaths - 1)]

    def _give_up(self, reason: str) -> None:
        self._reason = reason
        self._stop()

    # --- Signals ---------------------------------------------------------------------------------

    def _signalled(self, numbers: bytes) -> None:
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self._stop()
        elif signal.SIGUSR2 in numbers:
            if self._stops_at_s is None:
                self._rolling.begin(self._now())
        elif signal.SIGHUP in numbers:
            if self._is_bound and not has_terminal():
                self._stop()
            else:
                self._reload()

    def _stop(self) -> None:
        if self._stops_at_s is None:
            self._stops_at_s = self._now() + self._grace_s + _PATIENCE_S
            for worker in self._workers:
                worker.due_s = None
        self._rolling.stop()
        self._send(signal.SIGTERM)

    def _reload(self, workers: Sequence[Worker] = (), *, besides: Worker | None = None) -> None:
        for worker in workers or [*self._workers, *self._rolling.outgoing]:
            # One that is not ready would die of SIGHUP: it hears of it later.
            worker.missed = not worker.is_ready and worker is not besides
            if worker.is_ready and worker is not besides:
                self._send(signal.SIGHUP, (worker,))

    def _send(self, number: int, workers: Sequence[Worker] = ()) -> None:
        for worker in workers or self._workers:
            if worker.pid:
                with suppress(ProcessLookupError):
                    os.kill(worker.pid, number)


def has_terminal() -> bool:
    """Whether a terminal would notice our end; after its hang-up there is none any more."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError as error:
        return error.errno not in (errno.ENXIO, errno.EIO, errno.ENOENT, errno.ENODEV)
    return True


def ends_with_terminal() -> bool:
    """Whether we are to end when our terminal does; not with nohup. Asked before SIGHUP is ours."""
    return has_terminal() and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN


def _last(number: int, code: int) -> str:
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return f"worker {number} {how}"

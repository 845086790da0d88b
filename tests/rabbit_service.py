"""A RabbitMQ for tests: the one on 127.0.0.1:5672, else one of our own, else the test is skipped.

`vhost()` gives a test a virtual host of its own; `Server` is a broker that a test may stop and start.
"""

from __future__ import annotations

import atexit
import functools
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import amqp

import needs
from quiet_ports import quiet_port

HOST = "127.0.0.1"
PORT = 5672
START_S = 120.0
COMMAND_S = 180.0
VHOSTS = 4
_RIGHTS = "rabbit_auth_backend_internal:set_permissions"
# Debian's /usr/sbin/rabbitmq-server changes user and folder, and forgets the environment.
BINARIES = Path("/usr/lib/rabbitmq/bin")
# Erlang's schedulers wait by spinning, which takes from the other tests a third more than this.
FRUGAL = "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none"

_free: list[str] = []  # virtual hosts that nobody has used


@contextmanager
def vhost() -> Iterator[str]:
    """The URL of an empty virtual host, for as long as the block."""
    server = broker()
    if not _free:
        _free.extend(_made(server))
    yield f"{server.url}/{_free.pop()}"


def _made(server: Standard | Server) -> list[str]:
    """New virtual hosts. Several at once, because each command starts a virtual machine of Erlang's."""
    names = [f"gatemill-test-{secrets.token_hex(6)}" for _ in range(VHOSTS)]
    listed = ", ".join(f'<<"{name}">>' for name in names)
    rights = '<<"guest">>, V, <<".*">>, <<".*">>, <<".*">>, <<"tests">>'
    adding = f'rabbit_vhost:add(V, <<"tests">>), {_RIGHTS}({rights})'
    server.control("eval", f"[begin {adding} end || V <- [{listed}]].")
    deleting = f'[catch rabbit_vhost:delete(V, <<"tests">>) || V <- [{listed}]].'
    atexit.register(server.control, "eval", deleting)
    return names


@functools.cache
def broker() -> Standard | Server:
    """A broker that may be told what to do."""
    standard = Standard()
    if standard.answers():
        return standard
    own = Server()
    atexit.register(own.remove)
    return own


class Standard:
    """The broker that runs on this machine; it may be somebody else's, too."""

    url = f"amqp://guest:guest@{HOST}:{PORT}"

    def answers(self) -> bool:
        """It listens, and takes our commands."""
        if not _listens(PORT) or shutil.which("rabbitmqctl") is None:
            return False
        try:
            return bool(self.control("list_vhosts"))
        except subprocess.CalledProcessError:
            return False

    def control(self, *words: str) -> str:
        """What a command of rabbitmqctl says."""
        return _said(["rabbitmqctl", *words])


class Server:
    """A broker of our own in a new folder, on free ports; what is durable outlives a restart."""

    def __init__(self) -> None:
        needs.program("rabbitmq-server")
        self._folder = Path(tempfile.mkdtemp(prefix="gatemill-rabbitmq-"))
        self._port, distribution = quiet_port(), quiet_port()
        config = self._folder / "rabbitmq.conf"
        config.write_text(f"listeners.tcp.default = {HOST}:{self._port}\n")
        self._name = f"gatemill-{secrets.token_hex(4)}@localhost"
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder),  # where the cookie is
            "ERL_EPMD_ADDRESS": HOST,
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": FRUGAL,
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_CONFIG_FILE": str(config),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self._folder / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(self._folder / "env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "data"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_PID_FILE": str(self._folder / "pid"),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{HOST}:{self._port}"

    def start(self) -> None:
        """It answers."""
        self._process = subprocess.Popen(
            [_program("rabbitmq-server")],
            env=self._environment,
            cwd=self._folder,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end_s = time.monotonic() + START_S
        while not _listens(self._port):
            assert self._process.poll() is None, "rabbitmq-server does not start"
            assert time.monotonic() < end_s, "rabbitmq-server does not answer"
            time.sleep(0.05)

    def control(self, *words: str) -> str:
        """What a command of rabbitmqctl says."""
        return _said([_program("rabbitmqctl"), "-n", self._name, *words], self._environment)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """It is gone, and so are all connections."""
        if self._process is not None:
            os.killpg(self._process.pid, how)
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        """Nothing is left of it."""
        self.stop(signal.SIGKILL)
        shutil.rmtree(self._folder, ignore_errors=True)


def queues(url: str) -> dict[str, int]:
    """Messages that are ready, by queue, in the virtual host of this URL."""
    name = url.rpartition("/")[2]
    words = ("list_queues", "-q", "-p", name, "--no-table-headers", "name", "messages_ready")
    lines = broker().control(*words).splitlines()
    return {queue: int(count) for queue, count in (line.split("\t") for line in lines if line)}


def delete_queues(url: str, *names: str) -> None:
    """These queues are gone, with all that is in them."""
    parts = urlsplit(url)
    at = f"{parts.hostname}:{parts.port}"
    with amqp.Connection(at, virtual_host=parts.path[1:]) as connection:
        channel = connection.channel()
        for name in names:
            channel.queue_delete(name)


def _said(command: list[str], environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command,
        check=True,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
    )
    return done.stdout


def _program(name: str) -> str:
    debian = BINARIES / name
    return str(debian) if debian.exists() else needs.program(name)


def _listens(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=1.0):
            return True
    except OSError:
        return False

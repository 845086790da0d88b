"""The guide on dispatch: its configurations load, its commands start what they say, its programs run."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import aio_pika
import pytest
from msgspec import Struct

import rabbit_service
import redis_service
from quiet_ports import quiet_port
from running import process_environment
from settings_files import loaded
from site_under_fire import START_S, until

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "dispatch.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent
CHAT = {"model": "echo", "messages": [{"role": "user", "content": "Hello"}]}


def blocks(section: str, language: str) -> list[str]:
    (text,) = [part for part in GUIDE.split("\n## ") if part.startswith(section)]
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


class Door(Struct):
    port: int
    folder: Path
    environ: dict[str, str]

    @property
    def key(self) -> str:
        return (self.folder / "data" / "dev.key").read_text().strip()

    def ask(self, method: str, path: str, said: object = None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            body = None if said is None else json.dumps(said)
            connection.request(method, path, body, {"authorization": f"Bearer {self.key}"})
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def is_open(self) -> bool:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def job(self) -> str:
        """The id of a job that has succeeded."""
        job_id = self.ask("POST", "/v1/jobs", {"kind": "chat.completion", "args": CHAT})["id"]

        def done() -> bool:
            return self.ask("GET", f"/v1/jobs/{job_id}")["state"] == "succeeded"

        until(done, START_S, "the job has succeeded")
        return job_id


@contextmanager
def run(tmp_path: Path, toml: str, script: str) -> Iterator[Door]:
    """What the script starts with this configuration, for as long as the block."""
    file = tmp_path / "gatemill.toml"
    file.write_text(toml)
    port = quiet_port()
    environ = process_environment(tmp_path, file, tmp_path / "data") | {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "GATEMILL_SERVER__PORT": str(port),
    }
    door = Door(port, tmp_path, environ)
    with (tmp_path / "log").open("ab") as log:
        process = subprocess.Popen(
            ["bash", "-c", script],
            cwd=tmp_path,
            env=environ,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            until(door.is_open, START_S, str(tmp_path / "log"))
            yield door
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(START_S)


@pytest.mark.parametrize(
    "block", re.findall(r"^```toml\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
)
def test_every_configuration_loads(tmp_path: Path, block: str):
    assert loaded(tmp_path, block, {}).settings.jobs.dispatch in block


@pytest.mark.parametrize(
    ("section", "service"),
    [
        ("How do I use Redis?", redis_service.store),
        ("How do I use RabbitMQ?", rabbit_service.vhost),
        ("How do I use Celery?", redis_service.store),
    ],
    ids=["redis", "rabbitmq", "celery"],
)
def test_the_commands_run_jobs(tmp_path: Path, section: str, service):
    (toml,) = blocks(section, "toml")
    # RabbitMQ has "the same commands" as Redis; jobs shall be the worker's here.
    (script,) = blocks(section, "sh") or blocks("How do I use Redis?", "sh")
    with ExitStack() as stack:
        broker = stack.enter_context(service())
        toml = re.sub(r'broker = ".*"', f'broker = "{broker}"\nembedded = false', toml)
        door = stack.enter_context(run(tmp_path, toml, script))
        job_id = door.job()
        for program in blocks(section, "python"):
            done = subprocess.run(
                [sys.executable, "-c", f"job_id = {job_id!r}\n{program}"],
                cwd=tmp_path,
                env=door.environ,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            assert done.stdout.startswith("SUCCESS\n{'id': 'chatcmpl-")


def test_requests_come_from_a_queue_and_answers_go_to_another(tmp_path: Path):
    section = "How do requests come from a queue or a topic?"
    (script,) = blocks(section, "sh")
    asked, answered = blocks(section, "json")
    with ExitStack() as stack:
        broker = stack.enter_context(rabbit_service.vhost())
        door = stack.enter_context(run(tmp_path, "[jobs]\nembedded = false\n", "gatemill serve"))
        (key,) = door.ask("GET", "/api/v1/keys")["data"]
        line = script.replace("amqp://guest:guest@127.0.0.1:5672", broker)
        taker = subprocess.Popen(
            ["bash", "-c", f"exec {line}"],
            cwd=tmp_path,
            env=door.environ | {"KEY_ID": key["id"]},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        try:
            said = asyncio.run(_exchange(broker, asked.encode()))
        finally:
            taker.terminate()
            assert taker.wait(START_S) == 0
    shown = json.loads(answered)
    assert said.keys() == shown.keys()
    assert (said["id"], said["status"]) == (shown["id"], shown["status"])
    assert said["answer"]["object"] == shown["answer"]["object"]


async def _exchange(broker: str, body: bytes):
    async with await aio_pika.connect(broker) as connection:
        channel = await connection.channel()
        quorum = {"x-queue-type": "quorum"}
        for name in ("asked", "answered"):
            await channel.declare_queue(name, durable=True, arguments=quorum)
        message = aio_pika.Message(body, message_id="m-1")
        await channel.default_exchange.publish(message, "asked")
        answers = await channel.get_queue("answered")
        arrived = asyncio.Queue()
        await answers.consume(arrived.put, no_ack=True)
        async with asyncio.timeout(START_S):
            return json.loads((await arrived.get()).body)

"""`gatemill consume`: requests from one queue, answers in another, whatever is killed in between."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import aio_pika
import amqp
import pytest
from msgspec import Struct

import rabbit_service
from gatemill.core.errors import InvalidValue
from gatemill.dispatch import stream
from site_under_fire import Site, opened, until

PATIENCE_S = 60.0
CONFIG = '[jobs]\nembedded = false\n[models.x]\ntargets = ["echo/echo"]\n'


class Line(Struct):
    """A consumer in a process of its own, and the queues at its ends."""

    site: Site
    url: str

    def publish(self, *messages: tuple[str, bytes]) -> None:
        asyncio.run(self._publish(messages))

    async def _publish(self, messages) -> None:
        async with await aio_pika.connect(self.url) as connection:
            channel = await connection.channel()
            await channel.declare_queue("asked", durable=True)
            for message_id, body in messages:
                envelope = aio_pika.Message(body, message_id=message_id or None)
                await channel.default_exchange.publish(envelope, "asked")

    def publish_nameless(self, body: bytes) -> None:
        # aio-pika makes up an id where there is none.
        parts = urlsplit(self.url)
        at = f"{parts.hostname}:{parts.port}"
        with amqp.Connection(at, virtual_host=parts.path[1:]) as connection:
            connection.channel().basic_publish(amqp.Message(body), routing_key="asked")

    def letters(self, queue: str, count: int) -> list[aio_pika.abc.AbstractIncomingMessage]:
        return asyncio.run(self._letters(queue, count))

    async def _letters(self, queue: str, count: int):
        found = []
        async with await aio_pika.connect(self.url) as connection:
            channel = await connection.channel()
            declared = await stream_queue(channel, queue)
            async with asyncio.timeout(PATIENCE_S):
                while len(found) < count:
                    with suppress(aio_pika.exceptions.QueueEmpty):
                        found.append(await declared.get(no_ack=True))
        return found


async def stream_queue(channel, name: str):
    return await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})


def chat(text: str, **more) -> bytes:
    body = {"model": "x", "messages": [{"role": "user", "content": text}]}
    return json.dumps({"operation": "chat", "body": body, **more}).encode()


@pytest.fixture
def line(tmp_path) -> Iterator[Line]:
    with rabbit_service.vhost() as url:
        site = Site(tmp_path, CONFIG, workers=())
        with opened(site):
            (key,) = site.ask("GET", "/api/v1/keys")["data"]
            command = (sys.executable, "-m", "gatemill", "consume", "--key", key["id"])
            site.add((*command, "--from", f"{url}/asked", "--to", f"{url}/answered"))
            yield Line(site, url)


def test_each_request_is_answered_under_its_own_id(line: Line):
    ids = [f"m-{number}" for number in range(30)]
    line.publish(*((each, chat(each)) for each in ids))
    letters = {
        letter.message_id: json.loads(letter.body) for letter in line.letters("answered", 30)
    }
    assert sorted(letters) == sorted(ids)
    for each, said in letters.items():
        assert (said["id"], said["status"]) == (each, "succeeded")
        assert said["answer"]["choices"][0]["message"]["content"] == each
        job = line.site.ask("GET", f"/v1/jobs/{said['job_id']}")
        assert (job["state"], job["kind"]) == ("succeeded", "stream")


def test_a_message_that_comes_again_is_answered_once(line: Line):
    line.publish(*[("same", chat("hi"))] * 5, ("other", chat("hi")))
    letters = line.letters("answered", 2)
    assert sorted(letter.message_id for letter in letters) == ["other", "same"]
    line.publish(("last", chat("hi")))
    assert [letter.message_id for letter in line.letters("answered", 1)] == ["last"]


def test_what_is_no_request_is_a_dead_letter_with_its_reason(line: Line):
    spoiled = {
        "no-json": b"{",
        "no-body": b'{"operation": "chat"}',
        "bad-operation": b'{"operation": "sing", "body": {}}',
        "bad-model": chat("hi").replace(b'"x"', b'"unknown"'),
        "bad-key": chat("hi", key="gm-nobody"),
    }
    line.publish(*spoiled.items(), ("good", chat("hi")))
    spoiled[""] = chat("a message without an id")
    line.publish_nameless(spoiled[""])
    letters = line.letters("asked.dead", len(spoiled))
    names = {body: name for name, body in spoiled.items()}
    reasons = {names[letter.body]: letter.headers["gatemill-reason"] for letter in letters}
    assert len(reasons) == len(spoiled)
    assert reasons["no-json"].startswith("invalid_json: ")
    assert "`body`" in reasons["no-body"]
    assert "`operation`" in reasons["bad-operation"]
    assert reasons["bad-model"].startswith("model_not_found: ")
    assert reasons["bad-key"].startswith("invalid_api_key: ")
    assert "no id" in reasons[""]
    assert [letter.message_id for letter in line.letters("answered", 1)] == ["good"]


def test_another_body_under_an_id_that_is_taken_is_a_dead_letter(line: Line):
    line.publish(("same", chat("one")))
    assert line.letters("answered", 1)
    line.publish(("same", chat("two")))
    (letter,) = line.letters("asked.dead", 1)
    assert letter.headers["gatemill-reason"].startswith("idempotency_key_reused: ")


def test_kill_9_loses_no_request(line: Line):
    ids = [f"m-{number}" for number in range(200)]
    line.publish(*((each, chat(each)) for each in ids))
    for count in (20, 40, 60):
        until(lambda count=count: answered(line) >= count, PATIENCE_S, "some are answered")
        line.site.kill(1)
    letters = line.letters("answered", len(ids))
    seen = {letter.message_id for letter in letters}
    while seen != set(ids):  # a copy comes twice where a kill fell between sending and writing down
        seen |= {letter.message_id for letter in line.letters("answered", 1)}
    jobs = {json.loads(letter.body)["job_id"] for letter in letters}
    assert len(jobs) == len({letter.message_id for letter in letters})


def answered(line: Line) -> int:
    found = line.site.ask("GET", "/v1/jobs?kind=stream&state=succeeded&limit=100")
    return len(found["data"])


def test_it_ends_on_sigterm(line: Line):
    line.publish(("a", chat("hi")))
    assert line.letters("answered", 1)
    line.site.signal(1, signal.SIGTERM)
    assert line.site.exit_code(1) == 0


@pytest.mark.parametrize(
    "url", ["", "http://x/q", "amqp://host", "amqp:///q", "kafka://host/", "kafka:///topic"]
)
def test_a_url_that_names_nothing_is_refused_without_repeating_it(url: str):
    with pytest.raises(InvalidValue) as refused:
        stream.place(url)
    assert "names no queue" in refused.value.message


@pytest.mark.parametrize(
    ("url", "broker", "name"),
    [
        ("amqp://u:p@host:1/q", "amqp://u:p@host:1/", "q"),
        ("amqp://host/v/q%2F1", "amqp://host/v", "q/1"),
        ("kafka://host/topic", "kafka://host", "topic"),
    ],
)
def test_a_url_names_a_broker_and_a_queue(url: str, broker: str, name: str):
    place = stream.place(url)
    assert (place.broker, place.name, place.dead) == (broker, name, f"{name}.dead")

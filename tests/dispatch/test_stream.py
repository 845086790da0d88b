"""`gatemill consume`: requests from one queue, answers in another, whatever is killed in between."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
CONFIG += "".join(
    f'[models.{mode}]\ntargets = ["echo/echo"]\nguards.input = [{{ guard = "pii", mode = "{mode}" }}]\n'
    for mode in ("mask", "block")
)


class Line(Struct):
    """A consumer in a process of its own, and the queues at its ends."""

    site: Site
    url: str
    number: int  # of its process

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
            await channel.set_qos(prefetch_count=1)
            declared = await stream_queue(channel, queue)
            async with asyncio.timeout(PATIENCE_S), declared.iterator() as letters:
                async for letter in letters:
                    await letter.ack()
                    found.append(letter)
                    if len(found) == count:
                        break
        return found


async def stream_queue(channel, name: str):
    return await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})


def chat(text: str, **more) -> bytes:
    body = {"model": "x", "messages": [{"role": "user", "content": text}]}
    return json.dumps({"operation": "chat", "body": body, **more}).encode()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The door of all consumers here."""
    with opened(Site(tmp_path_factory.mktemp("site"), CONFIG, workers=())) as found:
        yield found


@contextmanager
def opened_line(site: Site, name: str) -> Iterator[Line]:
    with rabbit_service.vhost() as url:
        (key,) = (each for each in site.ask("GET", "/api/v1/keys")["data"] if each["name"] == "dev")
        command = (sys.executable, "-m", "gatemill", "consume", "--name", name, "--key", key["id"])
        site.add((*command, "--from", f"{url}/asked", "--to", f"{url}/answered"))
        yield Line(site, url, site.size - 1)


@pytest.fixture(scope="module")
def line(site: Site) -> Iterator[Line]:
    with opened_line(site, "one") as found:
        yield found


@pytest.fixture
def own_line(site: Site) -> Iterator[Line]:
    """One that may be killed."""
    with opened_line(site, "killed") as found:
        yield found


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


def test_a_message_may_bring_a_key_that_was_made_just_now(line: Line):
    ids = [f"new-{number}" for number in range(3)]
    for each in ids:
        made = line.site.ask("POST", "/api/v1/keys", {"name": each})
        line.publish((each, chat("hi", key=made["secret"])))
    assert sorted(letter.message_id for letter in line.letters("answered", 3)) == ids


@pytest.mark.parametrize(
    ("mode", "status", "left"), [("mask", "succeeded", "Pay [CARD]."), ("block", "failed", "")]
)
def test_what_guards_take_out_of_a_message_its_job_never_holds(line: Line, mode, status, left):
    card = {"mask": "4111 1111 1111 1111", "block": "4012 8888 8888 1881"}[mode]
    line.publish((mode, chat(f"Pay {card}.").replace(b'"x"', b'"%b"' % mode.encode())))
    (letter,) = line.letters("answered", 1)
    said = json.loads(letter.body)
    assert (said["id"], said["status"]) == (mode, status)
    if left:
        assert said["answer"]["choices"][0]["message"]["content"] == left
    else:
        assert said["error"]["code"] == "content_filter"
    files = [path for path in line.site.data_dir.rglob("*") if path.is_file()]
    assert any(card.encode() in path.read_bytes() for path in files) is (mode == "block")


def test_another_body_under_an_id_that_is_taken_is_a_dead_letter(line: Line):
    line.publish(("taken", chat("one")))
    assert line.letters("answered", 1)
    line.publish(("taken", chat("two")))
    (letter,) = line.letters("asked.dead", 1)
    assert letter.headers["gatemill-reason"].startswith("idempotency_key_reused: ")


def test_kill_9_loses_no_request_and_it_ends_on_sigterm(own_line: Line):
    line = own_line
    ids = [f"killed-{number}" for number in range(200)]
    before = answered(line)
    line.publish(*((each, chat(each)) for each in ids))
    for count in (20, 40, 60):
        some = "some are answered"
        until(lambda count=count: answered(line) - before >= count, PATIENCE_S, some)
        line.site.kill(line.number)
    letters = line.letters("answered", len(ids))
    seen = {letter.message_id for letter in letters}
    while seen != set(ids):  # a copy comes twice where a kill fell between sending and writing down
        seen |= {letter.message_id for letter in line.letters("answered", 1)}
    jobs = {json.loads(letter.body)["job_id"] for letter in letters}
    assert len(jobs) == len({letter.message_id for letter in letters})
    line.publish(("last", chat("hi")))
    while "last" not in seen:  # it has been started again, and hears signals
        seen |= {letter.message_id for letter in line.letters("answered", 1)}
    line.site.signal(line.number, signal.SIGTERM)
    assert line.site.exit_code(line.number) == 0


def answered(line: Line) -> int:
    found = line.site.ask("GET", "/v1/jobs?kind=stream&state=succeeded&limit=500")
    return len(found["data"])


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

"""Posts to callers' servers, and the places that are never reached."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import sink as sinks
from gatemill.core.errors import (
    GatemillError,
    InvalidValue,
    UpstreamBadReply,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gatemill.policy.addresses import networks
from gatemill.upstream import outward
from gatemill.upstream.outward import Bounds, Outward
from needs import program
from odd_urls import TO_CANARY
from outward_play import BODY, HERE, Book, outward_to, post
from sink import CLOSE, HANG, Sink

OTHER = networks(["127.0.0.2/32"])


@pytest.fixture
async def canary():
    """Listens where nobody may come: on one port of 127.0.0.1 and, where there is IPv6, of ::1."""
    async with Sink() as four:
        six = Sink("::1")
        six.port = four.port
        try:
            await six.__aenter__()
        except OSError:
            six = None
        yield four, six
        if six is not None:
            await six.__aexit__()


def touched(canary) -> int:
    return sum(each.connections for each in canary if each is not None)


# --- What arrives ------------------------------------------------------------------------------------


async def test_a_post_arrives_as_it_was_given_and_the_status_comes_back():
    async with Sink(path="/hook?a=b%20c") as sink:
        got = await post(outward_to(*HERE), sink.url)
    (seen,) = sink.seen
    assert got.status == 200
    assert seen.line == "POST /hook?a=b%20c HTTP/1.1"
    assert seen.body == BODY
    assert seen.headers["host"] == f"127.0.0.1:{sink.port}"
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["webhook-id"] == "wh_1"
    assert seen.headers["connection"] == "close"
    assert not {"cookie", "authorization", "traceparent", "baggage"} & set(seen.headers)


async def test_every_try_has_a_connection_of_its_own_and_no_cookie_comes_back():
    async with Sink() as sink:
        sink.by_default = sinks.answer(200, "set-cookie: a=b")
        way = outward_to(*HERE)
        await post(way, sink.url)
        await post(way, sink.url)
    assert sink.connections == 2
    assert "cookie" not in sink.seen[1].headers


@pytest.mark.parametrize("status", [200, 204, 299, 301, 302, 307, 308, 400, 404, 410, 500, 503])
async def test_any_status_is_an_answer(status):
    async with Sink() as sink:
        sink.by_default = status
        assert (await post(outward_to(*HERE), sink.url)).status == status


async def test_retry_after_is_read():
    async with Sink() as sink:
        sink.answers = [sinks.answer(503, "retry-after: 120"), sinks.answer(429)]
        way = outward_to(*HERE)
        assert (await post(way, sink.url)).retry_after_s == 120.0
        assert (await post(way, sink.url)).retry_after_s is None


async def test_interim_answers_are_skipped():
    async with Sink() as sink:
        sink.by_default = b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\n" + sinks.answer(204, body=b"")
        assert (await post(outward_to(*HERE), sink.url)).status == 204


async def test_an_answer_without_a_length_ends_with_the_connection():
    async with Sink() as sink:
        sink.by_default = b"HTTP/1.1 202 Ok\r\n\r\nsome words"
        assert (await post(outward_to(*HERE), sink.url)).status == 202


async def test_a_body_without_end_is_dropped_and_the_status_counts(monkeypatch):
    monkeypatch.setattr(outward, "LINGER_S", 0.05)
    async with Sink() as sink:
        sink.answers = [
            b"HTTP/1.1 200 Ok\r\ncontent-length: 99999999\r\n\r\n" + b"x" * 300_000,
            b"HTTP/1.1 200 Ok\r\ncontent-length: 99\r\n\r\nx",
            b"HTTP/1.1 200 Ok\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        ]
        way = outward_to(*HERE)
        for _ in range(3):
            assert (await post(way, sink.url)).status == 200


async def test_a_name_is_looked_up_once_and_the_address_found_is_dialled():
    book = Book(["127.0.0.1"])
    async with Sink() as sink:
        got = await post(outward_to(*HERE, find=book.find), f"http://sink.test:{sink.port}/x")
    assert got.status == 200
    assert book.asked == [("sink.test", sink.port)]
    assert sink.seen[0].headers["host"] == f"sink.test:{sink.port}"


async def test_the_machines_own_resolver_is_asked_by_default():
    async with Sink() as sink:
        way = outward_to(*networks(["127.0.0.0/8", "::1/128"]))
        assert (await post(way, f"http://localhost:{sink.port}/x")).status == 200
        with pytest.raises(UpstreamUnreachable, match="no address"):
            await post(way, "http://does-not-exist.invalid/")
        way.close()


async def test_the_next_address_of_a_name_is_dialled_when_the_first_is_down():
    book = Book(["127.0.0.9", "127.0.0.1"])
    async with Sink() as sink:
        got = await post(outward_to(*HERE, find=book.find), f"http://sink.test:{sink.port}/x")
    assert got.status == 200


async def test_counting_goes_on_where_an_earlier_one_stopped():
    first = outward_to(*HERE)
    async with Sink() as sink:
        await post(first, sink.url)
        second = Outward(HERE, ssl.create_default_context(), Bounds(5.0, 4), tries=first.tries)
        await post(second, sink.url)
    assert second.tries["2xx"] == 2


# --- What does not -----------------------------------------------------------------------------------


async def test_no_form_of_url_reaches_a_place_that_is_not_public(canary):
    # Another private network is allowed, so that the port alone is no reason to refuse.
    way = outward_to(*networks(["10.9.8.0/24"]), timeout_s=2.0)
    port = canary[0].port
    for url in TO_CANARY:
        with pytest.raises((InvalidValue, UpstreamUnreachable)):
            await post(way, url.format(port=port))
    assert len(TO_CANARY) >= 60
    assert touched(canary) == 0
    way.close()


@pytest.mark.parametrize(
    "found",
    [
        ["127.0.0.1"],
        ["::1"],
        ["93.184.216.34", "127.0.0.1"],
        ["127.0.0.1", "93.184.216.34"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["fe80::1%lo"],
        ["169.254.169.254"],
        ["2002:7f00:1::"],
        ["2001:0:53aa:64c:0:7eff:80ff:fffe"],
    ],
)
async def test_a_name_with_any_address_that_is_refused_is_not_dialled_at_all(found, canary):
    way = outward_to(find=Book(found).find)
    for url in ("http://evil.test/", "https://evil.test/"):
        with pytest.raises(InvalidValue) as caught:
            await post(way, url)
        assert not any(address in caught.value.message for address in found)
    assert touched(canary) == 0
    assert way.tries["invalid_value"] == 2


async def test_a_name_server_that_changes_its_mind_is_asked_once(canary):
    # The first answer is allowed, the second would be the canary.
    book = Book(["127.0.0.2"], ["127.0.0.1"])
    port = canary[0].port
    async with Sink("127.0.0.2") as good:
        way = outward_to(*OTHER, find=book.find)
        assert (await post(way, f"http://evil.test:{good.port}/")).status == 200
        with pytest.raises(InvalidValue):  # the next try asks again, and checks again
            await post(way, f"http://evil.test:{port}/")
    assert len(book.asked) == 2
    assert touched(canary) == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_not_followed(status, canary):
    async with Sink("127.0.0.2") as good:
        place = f"location: http://127.0.0.1:{canary[0].port}/"
        good.by_default = sinks.answer(status, place)
        assert (await post(outward_to(*OTHER), good.url)).status == status
    assert touched(canary) == 0


async def test_a_proxy_of_the_environment_is_not_used(canary, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{canary[0].port}")
    async with Sink("127.0.0.2") as good:
        assert (await post(outward_to(*OTHER), good.url)).status == 200
    assert touched(canary) == 0


@pytest.mark.parametrize("port", [22, 25, 6379, 8080])
async def test_other_ports_of_a_public_address_are_not_dialled(port):
    way = outward_to(*OTHER, find=Book(["93.184.216.34"]).find)
    with pytest.raises(InvalidValue):
        await post(way, f"http://evil.test:{port}/")


async def test_a_url_is_checked_without_looking_its_name_up():
    book = Book(["127.0.0.1"])
    way = outward_to(find=book.find)
    way.check("https://example.com/x", "url")
    with pytest.raises(InvalidValue) as caught:
        way.check("http://127.0.0.1/", "callback_url")
    assert caught.value.param == "callback_url"
    assert book.asked == []


# --- Failures ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (HANG, UpstreamTimeout),
        (CLOSE, UpstreamUnreachable),
        (b"SSH-2.0-OpenSSH_9\r\n", UpstreamBadReply),
        (b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", GatemillError),
        (b"HTTP/1.1 200 Ok\r\n" + b"a: b\r\n" * 20_000, UpstreamBadReply),
        (b"HTTP/1.1 100 Go\r\n\r\n" * 10_000, UpstreamBadReply),
        (b"HTTP/1.1 200", UpstreamUnreachable),
    ],
)
async def test_what_is_no_answer_is_a_failure(said, error):
    async with Sink() as sink:
        sink.by_default = said
        way = outward_to(*HERE, timeout_s=0.3 if said == HANG else 10.0)
        with pytest.raises(error):
            await post(way, sink.url)
        assert way.running == 0
        assert sum(way.tries.values()) == 1


async def test_a_server_that_is_not_there_is_unreachable():
    async with Sink() as sink:
        pass
    with pytest.raises(UpstreamUnreachable, match="cannot be reached"):
        await post(outward_to(*HERE), sink.url)


async def test_a_server_without_tls_is_no_https_server():
    async with Sink() as sink:
        with pytest.raises((UpstreamUnreachable, UpstreamTimeout)):
            await post(outward_to(*HERE, timeout_s=0.5), sink.url.replace("http:", "https:"))


@asynccontextmanager
async def raw(answer):
    """The port of a server that does `answer(writer)` with whoever connects."""

    async def handle(reader, writer):
        await reader.read(1)
        answer(writer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_connection_that_is_reset_is_unreachable():
    def reset(writer):
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    async with raw(reset) as port:
        with pytest.raises(UpstreamUnreachable, match="unanswered"):
            await post(outward_to(*HERE), f"http://127.0.0.1:{port}/")


async def test_a_server_that_answers_tls_with_words_is_told_from_one_that_is_away():
    async with raw(lambda writer: writer.write(b"HTTP/1.1 400 Bad\r\n\r\n")) as port:
        with pytest.raises(UpstreamUnreachable, match="does not speak TLS"):
            await post(outward_to(*HERE), f"https://127.0.0.1:{port}/")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of its own authority for sink.test, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=sink.test", "-addext", "subjectAltName=DNS:sink.test"]
    subprocess.run(
        [program("openssl"), "req", "-x509", *made, "-keyout", key, "-out", cert, *names],
        check=True,
        capture_output=True,
    )
    return cert, key


async def test_tls_is_checked_against_the_name_in_the_url_not_the_address(certificate):
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(*certificate)
    trusting = ssl.create_default_context(cafile=str(certificate[0]))
    find = Book(["127.0.0.1"]).find
    async with Sink(tls=serving) as sink:
        way = outward_to(*HERE, find=find, tls=trusting)
        assert (await post(way, f"https://sink.test:{sink.port}/x")).status == 200
        with pytest.raises(UpstreamUnreachable, match="certificate is not valid"):
            await post(way, f"https://other.test:{sink.port}/x")
        with pytest.raises(UpstreamUnreachable, match="certificate is not valid"):
            await post(way, sink.url)
        with pytest.raises(UpstreamUnreachable, match="certificate is not valid"):
            await post(outward_to(*HERE, find=find), f"https://sink.test:{sink.port}/x")
    assert len(sink.seen) == 1

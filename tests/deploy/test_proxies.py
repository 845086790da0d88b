"""The examples for nginx and Caddy: accepted by both, and nginx in front of a real gateway, streaming."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from websockets.asyncio.client import connect

import needs
from crowd import until
from held_provider import Held
from house_for_tests import Opened
from line import Line
from peer import Peer, body, post
from quiet_ports import quiet_port
from running import serve

DEPLOY = Path(__file__).parents[2] / "deploy"
NGINX = (DEPLOY / "nginx.conf").read_text()
NAME = "ai.example.com"
UP = '[providers.up]\nkind = "openai"\nbase_url = "{url}/v1"\napi_key = "sk-upstream-key"\n'


@pytest.fixture
async def held():
    """A provider that keeps the second half of what it says until it is told to go on."""
    async with Held() as provider:
        yield provider


def certified(folder):
    """A certificate of our own, and the context that trusts it."""
    made = (folder / "cert.pem", folder / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += [
        "-nodes",
        "-days",
        "2",
        "-subj",
        f"/CN={NAME}",
        "-addext",
        f"subjectAltName=DNS:{NAME}",
    ]
    needs.program("openssl")
    subprocess.run([*command, "-out", made[0], "-keyout", made[1]], check=True, capture_output=True)
    return made, ssl.create_default_context(cafile=str(made[0]))


def configured(folder, certificate, door, ports):
    """nginx.conf as it is shipped, with ports and paths of a test, inside what the distribution puts around it."""
    text = re.sub(r"\n    listen \[::\].*", "", NGINX)
    for old, new in (
        ("127.0.0.1:8700", f"127.0.0.1:{door}"),
        ("listen 443 ssl", f"listen 127.0.0.1:{ports[0]} ssl"),
        ("listen 80", f"listen 127.0.0.1:{ports[1]}"),
        (f"/etc/ssl/certs/{NAME}.pem", str(certificate[0])),
        (f"/etc/ssl/private/{NAME}.key", str(certificate[1])),
    ):
        assert old in text
        text = text.replace(old, new)
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.getuid() == 0 else ""
    file = folder / "nginx.conf"
    file.write_text(
        f"{user}pid {folder}/pid;\nerror_log {folder}/error.log;\ndaemon off;\nworker_processes 1;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{paths}{text}}}\n"
    )
    return file


def begun(folder, file):
    """nginx with a configuration that it has found right."""
    program = needs.program("nginx")
    tested = subprocess.run([program, "-t", "-c", file], capture_output=True, check=False)
    assert tested.returncode == 0, tested.stderr
    return subprocess.Popen([program, "-c", file], stderr=subprocess.DEVNULL)


def listens(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


@asynccontextmanager
async def nginx(folder, door):
    """The port of the example with TLS, and the context that trusts it."""
    certificate, trusts = certified(folder)
    ports = quiet_port(), quiet_port()
    process = begun(folder, configured(folder, certificate, door, ports))
    try:
        await until(lambda: process.poll() is not None or listens(ports[0]), 60)
        assert process.poll() is None, (folder / "error.log").read_text()
        yield ports[0], trusts
    finally:
        process.terminate()
        process.wait(60)


@asynccontextmanager
async def asked(port, trusts):
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=trusts, server_hostname=NAME
    )
    try:
        yield Peer(reader, writer)
    finally:
        writer.transport.abort()


async def test_nginx_passes_each_event_on_as_it_comes_and_websockets_too(tmp_path, held):
    config = UP.format(url=held.url) + f'[server]\nallowed_hosts = ["{NAME}"]\n'
    starting = serve(tmp_path, config)
    running = await asyncio.to_thread(starting.__enter__)
    gate = Opened(port=running.port, key=running.key, door=None, home=None)
    try:
        async with nginx(tmp_path, running.port) as (port, trusts):
            request = post(gate, body("up/m", stream=True))
            async with asked(port, trusts) as client:
                await client.send(request)
                assert (await client.head()).status == 200
                first = await client.chunk()
                assert b'"content":"half ' in first  # and the provider has yet to send the rest
                held.release()
                more = b""
                while data := await client.chunk():
                    more += data
                assert b"data: [DONE]" in more

            async with asked(port, trusts) as client:
                # Open on this machine, closed to whoever comes by way of a proxy.
                await client.send(f"GET /metrics HTTP/1.1\r\nhost: {NAME}\r\n\r\n".encode())
                assert (await client.answer()).status == 401

            headers = {"authorization": f"Bearer {running.key}"}
            async with connect(
                f"wss://{NAME}:{port}/v1/chat/stream",
                host="127.0.0.1",
                ssl=trusts,
                server_hostname=NAME,
                additional_headers=headers,
                proxy=None,
            ) as opened:
                line = Line(opened)
                await line.ask("up/m")
                assert (await line.answer())[-1]["type"] == "done"
    finally:
        await asyncio.to_thread(starting.__exit__, None, None, None)


def test_caddy_accepts_its_example(tmp_path):
    program = needs.program("caddy")
    file = str(DEPLOY / "Caddyfile")
    adapted = subprocess.run(
        [program, "adapt", "--adapter", "caddyfile", "--config", file],
        capture_output=True,
        check=False,
    )
    assert adapted.returncode == 0, adapted.stderr
    assert b'"warn' not in adapted.stderr
    said = msgspec.json.decode(adapted.stdout)
    (server,) = said["apps"]["http"]["servers"].values()
    proxy = next(found for found in walked(server) if found.get("handler") == "reverse_proxy")
    assert proxy["flush_interval"] == -1
    assert proxy["upstreams"] == [{"dial": "127.0.0.1:8700"}]
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    checked = subprocess.run(
        [program, "validate", "--adapter", "caddyfile", "--config", file],
        capture_output=True,
        check=False,
        env=environment,
    )
    assert checked.returncode == 0, checked.stderr


def walked(value):
    """Every table in a JSON value."""
    if isinstance(value, dict):
        yield value
        for one in value.values():
            yield from walked(one)
    elif isinstance(value, list):
        for one in value:
            yield from walked(one)

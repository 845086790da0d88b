from __future__ import annotations

import gc
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from cli_run import Command
from gatemill.cli import live


def test_a_good_file_ends_with_0(gatemill: Command, tmp_path: Path) -> None:
    assert gatemill("check") == (
        0,
        "✓ config  no file, built-in defaults (3 providers, 6 model names)\n",
        "",
    )
    (tmp_path / "x.toml").write_text('[providers.vllm]\n[models.a]\ntargets = ["vllm/a"]\n')
    assert gatemill("check", "x.toml").out == "✓ config  x.toml (4 providers, 7 model names)\n"


def test_a_bad_file_ends_with_2_and_every_error(gatemill: Command, tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("[server]\nprot = 1\nport = true\n")
    result = gatemill("check", "x.toml")
    assert (result.code, result.out) == (2, "")
    assert result.err.splitlines() == [
        'x.toml:2: server.prot: unknown key (did you mean "port"?)',
        "x.toml:3: server.port: expected a whole number, found true",
        "gatemill: 2 errors in the configuration",
        "  fix: docs/settings.md lists every option",
    ]
    as_json = gatemill("check", "x.toml", "--json")
    assert as_json.code == 2
    shown = msgspec.json.decode(as_json.out)
    assert shown["ok"] is False
    assert shown["errors"][0].startswith("x.toml:2: ")


def test_missing_and_written_keys_are_warnings(gatemill: Command, tmp_path: Path) -> None:
    (tmp_path / "gatemill.toml").write_text(
        "[providers.groq]\n"
        '[providers.openai]\napi_key = "sk-in-the-file"\n'
        '[providers."a.b"]\nkind = "openai"\napi_key = "sk-in-the-file"\n'
        '[providers.mistral]\napi_key = "${K}"\n'
        '[providers.deepseek]\napi_key = "file:k"\n'
    )
    (tmp_path / "k").write_text("k")
    result = gatemill("check", K="k")
    assert result.code == 0
    assert result.out.splitlines()[1:] == [
        '! groq    has no api_key → export GROQ_API_KEY=… and set api_key = "${GROQ_API_KEY}"',
        '! openai  its key is written in the file (gatemill.toml:3) → api_key = "${VARIABLE}" or "file:/path"',
        '! a.b     its key is written in the file (gatemill.toml:6) → api_key = "${VARIABLE}" or "file:/path"',
    ]


# --- --live --------------------------------------------------------------------------------------


class Upstream(ThreadingHTTPServer):
    """Answers by path: the first part of it is the status. Remembers the headers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.heard: dict[str, dict[str, str]] = {}


class Handler(BaseHTTPRequestHandler):
    server: Upstream

    def do_GET(self) -> None:
        self.server.heard[self.path] = {name.lower(): text for name, text in self.headers.items()}
        self.send_response(int(self.path.rpartition("//")[2].split("/")[1][:3]))
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "mark", "words", "code"),
    [
        (200, "✓", ": key accepted", 0),
        (401, "✗", "the key is refused", 1),
        (403, "✗", "correct the key (it comes from gatemill.toml:4)", 1),
        (404, "!", "it has no model list, or base_url is wrong", 0),
        (429, "!", "it limits us now", 0),
        (500, "!", "answered 500", 0),
        (418, "✗", "answered 418", 1),
    ],
)
def test_an_answer_of_a_provider_is_judged(
    gatemill: Command, upstream: Upstream, tmp_path: Path, *, status, mark, words, code
) -> None:
    (tmp_path / "gatemill.toml").write_text(
        f'[providers.p]\nkind = "openai"\nbase_url = "{upstream.url}/{status}"\n'
        'api_key = "sk-1"\norganization = "org"\nheaders = { x-a = "b" }\n'
    )
    result = gatemill("check", "--live")
    line = result.out.splitlines()[-1]
    assert result.code == code
    assert line.startswith(f"{mark} p ")
    assert words in line
    assert " ms" in line
    heard = upstream.heard[f"/{status}/models"]
    assert heard["authorization"] == "Bearer sk-1"
    assert (heard["openai-organization"], heard["x-a"]) == ("org", "b")


def test_every_kind_is_asked_in_its_own_way(
    gatemill: Command, upstream: Upstream, tmp_path: Path
) -> None:
    (tmp_path / "gatemill.toml").write_text(
        f'[providers.anthropic]\nbase_url = "{upstream.url}/200a"\napi_key = "${{A}}"\n'
        f'[providers.azure]\nbase_url = "{upstream.url}/200b"\napi_key = "${{B}}"\n'
        f'api_version = "2024-10-21"\n'
        f'[providers.vllm]\nbase_url = "{upstream.url}/200c"\n'
        f'[providers.far]\nkind = "vllm"\nbase_url = "http://far.example/200d"\n'
        f'proxy = "{upstream.url}"\n'
    )
    result = gatemill("check", "--live", "--json", A="sk-a", B="az")
    assert result.code == 0
    shown = msgspec.json.decode(result.out)
    assert shown["ok"] is True
    assert [one["mark"] for one in shown["findings"]] == ["✓"] * 5
    assert shown["findings"][1]["latency_ms"] > 0
    heard = upstream.heard
    assert heard["/200a/v1/models"]["x-api-key"] == "sk-a"
    assert heard["/200a/v1/models"]["anthropic-version"]
    assert heard["/200b/models?api-version=2024-10-21"]["api-key"] == "az"
    assert "authorization" not in heard["/200c/models"]
    assert "http://far.example/200d/models" in heard


def test_a_provider_that_cannot_be_reached_is_explained(gatemill: Command, tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as closed,
        socket.create_server(("127.0.0.1", 0), backlog=1) as silent,
    ):
        closed_port, port = closed.getsockname()[1], silent.getsockname()[1]
        closed.close()
        threading.Thread(target=_hang_up, args=(silent,)).start()
        (tmp_path / "gatemill.toml").write_text(
            f'[providers.a]\nkind = "vllm"\nbase_url = "http://127.0.0.1:{closed_port}/v1"\n'
            f'[providers.b]\nkind = "vllm"\nbase_url = "http://nowhere.invalid/v1"\n'
            f'[providers.c]\nkind = "vllm"\nbase_url = "http://127.0.0.1:{port}/v1"\n'
            f'[providers.d]\nkind = "vllm"\nbase_url = "http://two..dots/v1"\n'
        )
        result = gatemill("check", "--live")
    assert result.code == 1
    _, refused, unknown, broken, no_name = result.out.splitlines()
    assert "nothing listens there → start it, or correct providers.a.base_url" in refused
    assert unknown.startswith("✗ b       http://nowhere.invalid/v1/models: ")
    assert broken.startswith("✗ c ")
    assert "→ check providers.c.base_url and proxy" in broken
    assert no_name.startswith("✗ d       http://two..dots/v1/models: ")


def _hang_up(server: socket.socket) -> None:
    connection, _ = server.accept()
    connection.close()


def test_without_a_key_the_variable_is_named(
    gatemill: Command, upstream: Upstream, tmp_path: Path
) -> None:
    (tmp_path / "gatemill.toml").write_text(
        f'[providers.groq]\nbase_url = "{upstream.url}/401"\n'
        f'[providers.llamacpp]\nbase_url = "{upstream.url}/401"\n'
    )
    result = gatemill("check", "--live")
    assert "the key is refused in " in result.out
    assert " → export GROQ_API_KEY=…\n" in result.out
    assert " → set its api_key\n" in result.out


def test_without_providers_there_is_nothing_to_ask(gatemill: Command) -> None:
    assert gatemill("check", "--live").out.count("\n") == 1


# Python 3.11 leaves the answer to a refused CONNECT open (closed by 3.12); it is collected here.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_proxy_is_asked_for_a_tunnel_to_a_secure_provider(
    gatemill: Command, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        heard: list[bytes] = []
        thread = threading.Thread(target=_refuse_tunnel, args=(proxy, heard))
        thread.start()
        (tmp_path / "gatemill.toml").write_text(
            '[providers.a]\nkind = "vllm"\nbase_url = "https://far.example/v1"\n'
            f'proxy = "http://127.0.0.1:{proxy.getsockname()[1]}"\n'
        )
        result = gatemill("check", "--live")
        gc.collect()
        thread.join()
    assert heard[0].startswith(b"CONNECT far.example:443 HTTP/1.")
    assert result.code == 1
    assert "Tunnel connection failed: 502" in result.out


def _refuse_tunnel(server: socket.socket, heard: list[bytes]) -> None:
    connection, _ = server.accept()
    with connection:
        heard.append(connection.recv(65_536))
        connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")


def test_a_silent_provider_is_given_up_in_time(gatemill: Command, tmp_path: Path) -> None:
    # A listener that never accepts and whose queue is full: connecting gets no answer.
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        (tmp_path / "gatemill.toml").write_text(
            f'[providers.a]\nkind = "vllm"\nbase_url = "http://127.0.0.1:{address[1]}/v1"\n'
            "timeout = { connect_s = 0.1 }\n"
        )
        result = gatemill("check", "--live")
        for one in waiting:
            one.close()
    assert result.code == 1
    assert "no answer in time → check the network, or set providers.a.proxy" in result.out


@pytest.mark.parametrize(
    ("date", "apart_s"),
    [
        ("Sat, 21 Nov 2026 12:01:30 GMT", 90.0),
        ("Sat, 21 Nov 2026 11:59:00 GMT", -60.0),
        ("", 0.0),
        ("yesterday", 0.0),
    ],
)
def test_how_far_a_providers_clock_is_ahead_is_read_from_its_date(date, apart_s) -> None:
    noon_s = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
    assert live._apart_s(date, noon_s) == apart_s


def test_a_clock_that_is_far_off_is_a_warning(gatemill: Command, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(live, "_status", lambda *_: (200, "Sat, 21 Nov 2020 12:00:00 GMT"))
    (tmp_path / "x.toml").write_text('[providers.vllm]\nbase_url = "http://127.0.0.1:9/v1"\n')
    result = gatemill("check", "x.toml", "--live")
    assert result.code == 0
    assert "! vllm " in result.out
    assert " s behind" in result.out
    assert "timedatectl" in result.out

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from cli_run import Command
from gatemill.cli import comparing

DONE = b"data: [DONE]\n\n"
TOLD = b': gatemill {"cost_microusd":420,"request_id":"r","model":"openai/x","attempts":2}\n\n'


def event(**chunk: object) -> bytes:
    return b"data: %b\n\n" % msgspec.json.encode(chunk)


def piece(text: str | None) -> bytes:
    return event(choices=[{"index": 0, "delta": {"content": text}}])


class FakeGateway(ThreadingHTTPServer):
    """Answers what it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.models = ["gpt-*", "text-embed-3", "echo", "fast"]
        self.status = 200
        self.stream = piece(None) + piece("Hel") + piece("lo") + DONE
        self.headers: dict[str, str] = {}
        self.asked: list[dict[str, object]] = []
        self.keys: list[str | None] = []


class Handler(BaseHTTPRequestHandler):
    server: FakeGateway

    def do_GET(self) -> None:
        assert self.path == "/v1/models"
        data = [{"id": name} for name in self.server.models]
        self._answer(msgspec.json.encode({"data": data}))

    def do_POST(self) -> None:
        assert self.path == "/v1/chat/completions"
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.asked.append(msgspec.json.decode(body))
        self._answer(self.server.stream)

    def _answer(self, body: bytes) -> None:
        self.server.keys.append(self.headers["authorization"])
        self.send_response(self.server.status)
        self.send_header("x-request-id", "req_1")
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with FakeGateway() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_answer_goes_to_standard_output_and_the_footer_beside_it(
    gatemill: Command, gateway: FakeGateway
) -> None:
    usage = event(choices=[], usage={"prompt_tokens": 5, "completion_tokens": 7})
    gateway.stream = piece("Hel") + b": ping\n\n" + piece("lo") + usage + DONE + TOLD
    result = gatemill("chat", "hi", "-m", "fast", "--url", gateway.url)
    assert (result.code, result.out) == (0, "Hello\n")
    model, tokens, cost, first, total, attempts, request = result.err.strip().split(" · ")
    assert (model, tokens, cost, attempts) == ("openai/x", "in 5 out 7", "$0.000420", "2 attempts")
    assert first.startswith("first token ")
    assert total.startswith("total ")
    assert request == "req_1"
    [asked] = gateway.asked
    assert asked["messages"] == [{"role": "user", "content": "hi"}]
    assert asked["stream_options"] == {"include_usage": True}


def test_an_unknown_price_is_said(gatemill: Command, gateway: FakeGateway) -> None:
    gateway.stream = piece("x") + DONE + b': gatemill {"cost_microusd":null,"attempts":1}\n\n'
    assert " · price unknown · " in gatemill("chat", "hi", "-m", "m", "--url", gateway.url).err


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["gpt-*", "text-embed-3", "echo", "fast"], "fast"),
        (["builtin/extract", "echo", "fast"], "fast"),
        (["builtin/extract", "echo"], "echo"),
        (["echo", "gpt-*"], "echo"),
        ([], "echo"),
    ],
)
def test_without_a_model_the_first_that_can_talk_is_taken(
    gatemill: Command, gateway: FakeGateway, names: list[str], chosen: str
) -> None:
    gateway.models = names
    gatemill("chat", "hi", GATEMILL_URL=f"{gateway.url}/v1/")
    assert gateway.asked[0]["model"] == chosen


def test_the_key_comes_from_option_environment_or_file(
    gatemill: Command, gateway: FakeGateway, tmp_path: Path
) -> None:
    ask = ("chat", "hi", "-m", "m", "--url", gateway.url)
    gatemill(*ask)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/dev.key").write_text("gm-dev\n")
    gatemill(*ask)
    gatemill(*ask, GATEMILL_API_KEY="gm-env")
    gatemill(*ask, "--key", "gm-option", GATEMILL_API_KEY="gm-env")
    assert gateway.keys == [None, "Bearer gm-dev", "Bearer gm-env", "Bearer gm-option"]


def test_a_key_file_that_cannot_be_read_is_named(gatemill: Command, tmp_path: Path) -> None:
    (tmp_path / "data/dev.key").mkdir(parents=True)
    result = gatemill("chat", "hi", "-m", "m")
    assert result.code == 1
    assert result.err.startswith("gatemill: cannot read data/dev.key: ")


def test_the_question_may_come_from_standard_input(
    gatemill: Command, gateway: FakeGateway, monkeypatch, tmp_path: Path
) -> None:
    (tmp_path / "question").write_text("from a file")
    with (tmp_path / "question").open() as question:
        monkeypatch.setattr("sys.stdin", question)
        gatemill("chat", "-", "-m", "m", "--url", gateway.url)
    assert gateway.asked[0]["messages"] == [{"role": "user", "content": "from a file"}]


@pytest.mark.parametrize(
    ("status", "fix"), [(401, "fix: --key"), (404, "fix: gatemill models"), (500, "")]
)
def test_a_refusal_is_shown_in_the_gateways_words(
    gatemill: Command, gateway: FakeGateway, status: int, fix: str
) -> None:
    gateway.status = status
    gateway.stream = b'{"error": {"message": "No, because."}}'
    result = gatemill("chat", "hi", "-m", "m", "--url", gateway.url)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("gatemill: No, because.\n")
    assert fix in result.err


def test_a_refusal_in_no_known_form_shows_its_status(
    gatemill: Command, gateway: FakeGateway
) -> None:
    gateway.status, gateway.stream = 502, b"<html>"
    result = gatemill("chat", "hi", "-m", "m", "--url", gateway.url)
    assert result.err == "gatemill: the gateway answered 502\n"


def test_a_failure_within_the_stream_ends_with_1(gatemill: Command, gateway: FakeGateway) -> None:
    gateway.stream = piece("Hel") + event(error={"message": "The provider hung up."})
    result = gatemill("chat", "hi", "-m", "m", "--url", gateway.url)
    assert (result.code, result.out) == (1, "Hel")
    assert result.err.startswith("gatemill: The provider hung up.\n")


def test_no_gateway_is_explained(gatemill: Command, gateway: FakeGateway) -> None:
    result = gatemill("chat", "hi", "--url", "http://127.0.0.1:1")
    assert result.err.splitlines() == [
        "gatemill: no gateway answers at http://127.0.0.1:1",
        "  fix: gatemill serve, or name another gateway with --url",
    ]
    gateway.models = []
    gateway.stream = b""
    result = gatemill("chat", "hi", "--url", f"{gateway.url}/x")
    assert result.code == 1


def test_another_server_is_told_apart(gatemill: Command, gateway: FakeGateway, monkeypatch) -> None:
    monkeypatch.setattr(Handler, "do_GET", lambda self: self._answer(b"<html>"))
    result = gatemill("chat", "hi", "--url", gateway.url)
    assert result.err.startswith(f"gatemill: {gateway.url} is no Gatemill\n")


def test_what_is_no_url_is_refused(gatemill: Command) -> None:
    assert gatemill("chat", "hi", "--url", "localhost:8700").code == 2


def test_an_answer_from_the_cache_says_so(gatemill: Command, gateway: FakeGateway) -> None:
    gateway.headers = {"x-gatemill-cache": "hit"}
    assert " · cache hit · " in gatemill("chat", "hi", "-m", "m", "--url", gateway.url).err


def test_an_answer_is_json_too(gatemill: Command, gateway: FakeGateway) -> None:
    gateway.stream += TOLD
    result = gatemill("chat", "hi", "-m", "fast", "--url", gateway.url, "--json")
    told = msgspec.json.decode(result.out)
    assert (told["text"], told["model"], told["cost_usd"]) == ("Hello", "openai/x", "0.000420")
    assert result.err == ""


def test_several_models_are_compared(gatemill: Command, gateway: FakeGateway) -> None:
    ask = ("chat", "hi", "--url", gateway.url, "--compare")
    result = gatemill(*ask, "fast,echo")
    assert result.code == 0
    assert result.out.index("## fast\n\nHello\n") < result.out.index("## echo\n\nHello\n")
    assert sorted(str(one["model"]) for one in gateway.asked) == ["echo", "fast"]
    both = msgspec.json.decode(gatemill(*ask, "fast,echo", "--json").out)
    assert [(one["asked"], one["text"], one["error"]) for one in both] == [
        ("fast", "Hello", None),
        ("echo", "Hello", None),
    ]
    gateway.status = 404
    gateway.stream = b'{"error": {"message": "No such model."}}'
    assert gatemill(*ask, "a,b").err.startswith("gatemill: No such model.\n")
    for names in ("a", "a,a", "a,b,c,d,e", ""):
        assert gatemill(*ask, names, "-m", "a").code == 2 if names else True


@pytest.mark.parametrize("columns", [100, 40])
def test_answers_stand_side_by_side_where_there_is_room(columns: int) -> None:
    sides = [comparing._Side("one", text="left " * 40), comparing._Side("two", text="right")]
    sides[0].done = True
    screen = Console(file=io.StringIO(), width=columns, height=20)
    screen.print(comparing._table(sides, columns, 10))
    first = screen.file.getvalue().splitlines()[0]
    assert first.split() == (["one", "two"] if columns == 100 else ["one"])


class Keyboard(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_conversation_goes_on_until_an_empty_line(
    gatemill: Command, gateway: FakeGateway, monkeypatch
) -> None:
    monkeypatch.setattr("sys.stdin", Keyboard("first\nsecond\n\nnever\n"))
    result = gatemill("chat", "-m", "m", "--url", gateway.url)
    assert result.code == 0
    assert [len(one["messages"]) for one in gateway.asked] == [1, 3]
    assert gateway.asked[1]["messages"][1] == {"role": "assistant", "content": "Hello"}
    monkeypatch.setattr("sys.stdin", Keyboard(""))
    assert gatemill("chat", "-m", "m", "--url", gateway.url).code == 0

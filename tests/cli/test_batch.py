"""`gatemill batch` against a real server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from cli_run import Command
from gatemill.cli import batches_shown
from lab import on_terminal, provider
from running import serve

PATIENCE_S = 60.0
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
CONFIG = """
[providers.lab]
kind = "openai"
base_url = "{url}/v1"
api_key = "any"
[models.echo]
targets = ["echo/echo"]
[models.slow]
targets = ["lab/fake+first-byte=60"]
[providers.held]
kind = "openai"
base_url = "{held}/v1"
api_key = "any"
[models.held]
targets = ["held/held"]
[files]
bytes_max = 100000
"""


def line(number: int, model: str = "echo", **more: object) -> str:
    body = {"model": model, "messages": [{"role": "user", "content": f"number {number}"}]}
    return json.dumps(
        {
            "custom_id": f"line-{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": body,
            **more,
        }
    )


class Held(ThreadingHTTPServer):
    """A provider that answers when it is let go."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.let_go = threading.Event()


class Answering(BaseHTTPRequestHandler):
    server: Held

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.let_go.wait(PATIENCE_S)
        body = json.dumps({"id": "1", "object": "chat.completion", "choices": [CHOICE]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def held() -> Iterator[Held]:
    with Held() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.let_go.set()
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, held: Held):
    folder = tmp_path_factory.mktemp("batches")
    with (
        provider(folder) as url,
        serve(folder, CONFIG.format(url=url, held=held.url)) as server,
    ):
        yield server


@pytest.fixture
def batch(gatemill: Command, known):
    return lambda *arguments, **more: gatemill("batch", *arguments, **(known | more))


@pytest.fixture
def questions(tmp_path: Path) -> str:
    file = tmp_path / "questions.jsonl"
    file.write_text("\n".join(line(number) for number in range(20)) + "\n")
    return str(file)


def test_the_answers_come_to_a_file_in_the_order_of_the_lines(batch, questions, tmp_path) -> None:
    said = batch("submit", questions, "--output", "answers.jsonl")
    assert (said.code, said.out) == (0, ""), said.err
    assert "completed, watched for " in said.err
    assert "20 done, 0 failed, $0.000000" in said.err
    assert said.err.endswith("answers.jsonl: 20 lines\n")
    answers = [msgspec.json.decode(row) for row in Path("answers.jsonl").read_bytes().splitlines()]
    assert [row["custom_id"] for row in answers] == [f"line-{number}" for number in range(20)]
    assert answers[7]["response"]["body"]["choices"][0]["message"]["content"] == "number 7"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["answers.jsonl", "questions.jsonl"]


def test_lines_that_fail_are_in_a_file_beside_it(batch, questions) -> None:
    with Path(questions).open("a") as file:
        file.write(line(20, "nobody") + "\n")
    said = batch("submit", questions, "--output", "answers.jsonl")
    assert said.code == 0, said.err
    assert "answers.jsonl: 20 lines\nanswers.jsonl.errors: 1 line\n" in said.err
    (error,) = Path("answers.jsonl.errors").read_bytes().splitlines()
    assert msgspec.json.decode(error)["response"]["body"]["error"]["code"] == "model_not_found"


def test_without_watch_only_the_id_is_printed(batch, questions) -> None:
    said = batch("submit", questions, "--metadata", "for=ada")
    batch_id = said.out.strip()
    assert (said.code, batch_id.startswith("batch_")) == (0, True), said.err
    assert f"gatemill batch show {batch_id} --watch" in said.err
    shown = batch("show", batch_id, "--watch")
    assert shown.code == 0, shown.err
    lines = shown.out.splitlines()
    assert "status     completed" in lines
    assert "lines      20: 20 done, 0 failed, $0.000000" in lines
    assert "metadata   for=ada" in lines
    assert any(each.startswith("ended ") for each in lines)
    assert not any(each.startswith(("errors ", "expires ")) for each in lines)


def test_the_whole_batch_is_printed_as_json(batch, questions) -> None:
    said = batch("submit", questions, "--watch", "--json")
    done = msgspec.json.decode(said.out)
    assert (said.code, done["status"], done["request_counts"]["completed"]) == (0, "completed", 20)
    assert msgspec.json.decode(batch("show", done["id"], "--json").out)["id"] == done["id"]
    assert msgspec.json.decode(batch("submit", questions, "--json").out)["status"] != "failed"
    newest = msgspec.json.decode(batch("ls", "--limit", "2", "--json").out)
    assert [each["id"] for each in newest][1] == done["id"]
    assert batch("ls").out.split()[:6] == ["ID", "STATUS", "DONE", "FAILED", "AGE", "COST"]


def test_answers_go_to_standard_output(batch, questions) -> None:
    done = msgspec.json.decode(batch("submit", questions, "--watch", "--json").out)
    said = batch("results", done["id"])
    assert (said.code, len(said.out.splitlines())) == (0, 20)
    none = batch("results", done["id"], "--errors")
    assert (none.code, "there are no errors" in none.err) == (1, True)
    assert batch("results", done["id"], "--output", "again.jsonl").err == "again.jsonl: 20 lines\n"


def test_a_batch_that_cannot_be_sent_says_which_lines_and_is_code_1(batch) -> None:
    Path("twice.jsonl").write_text("\n".join([line(1)] * 30))
    said = batch("submit", "twice.jsonl", "--watch")
    assert (said.code, "failed, watched for " in said.err) == (1, True)
    batch_id = said.err.splitlines()[0]
    lines = batch("show", batch_id).out.splitlines()
    assert any(each.startswith("line 2: ") for each in lines)
    assert lines[-1] == "… and 9 more; --json shows all"
    assert batch("results", batch_id).code == 1


def test_the_endpoint_is_that_of_the_first_line_or_as_said(batch) -> None:
    Path("odd.jsonl").write_text("\n\n" + line(1, url="/v1/embeddings") + "\n")
    said = msgspec.json.decode(batch("submit", "odd.jsonl", "--json").out)
    assert said["endpoint"] == "/v1/embeddings"
    asks = ("submit", "odd.jsonl", "--endpoint", "/v1/responses", "--json")
    assert msgspec.json.decode(batch(*asks).out)["endpoint"] == "/v1/responses"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hello", "the first line names no url"),
        ("", "the first line names no url"),
        ("[]", "the first line names no url"),
        (line(1, url="/v1/nothing"), "endpoint"),
        (line(1, pad="x" * 200_000), "The body exceeds"),
    ],
)
def test_a_file_that_will_not_do_is_code_2(batch, text, words) -> None:
    Path("wrong.jsonl").write_text(text)
    said = batch("submit", "wrong.jsonl")
    assert (said.code, said.out) == (2, "")
    assert words in said.err


def test_a_file_that_is_not_there_is_said(batch, questions) -> None:
    assert batch("submit", "nothere.jsonl").code == 2
    said = batch("submit", questions, "--output", "no/such/folder.jsonl")
    assert (said.code, "cannot write no/such/folder.jsonl" in said.err) == (1, True)
    for verb in ("show", "cancel", "results"):
        unknown = batch(verb, "batch_nobody")
        assert (unknown.code, "There is no batch" in unknown.err) == (1, True)


def test_a_cancelled_batch_is_code_1_for_who_watches(batch) -> None:
    Path("slow.jsonl").write_text(line(1, "slow"))
    batch_id = batch("submit", "slow.jsonl").out.strip()
    said = batch("cancel", batch_id)
    assert (said.code, f"{batch_id} is cancel" in said.err) == (0, True)
    watched = batch("show", batch_id, "--watch")
    assert (watched.code, "cancelled, watched for " in watched.err) == (1, True)


@pytest.mark.parametrize("columns", [100, 45])
def test_a_bar_tells_how_far_it_is_and_what_it_cost(known, held, tmp_path, columns) -> None:
    file = tmp_path / "some.jsonl"
    file.write_text("\n".join(line(number, "held" if number else "echo") for number in range(60)))
    words = ["batch", "submit", str(file), "--watch"]
    held.let_go.clear()  # it ends when the bar has been seen, and not before
    code, text = on_terminal(words, columns, tmp_path, known, (b"/60", held.let_go.set))
    assert code == 0, text
    assert "60 done, 0 failed" in text
    assert ("━━━━" in text) == (columns == 100)
    assert "/60 " in text


def test_what_is_left_is_told_with_its_cost_and_its_failures() -> None:
    counts = {"total": 9, "completed": 4, "failed": 2}
    batch = {"request_counts": counts, "cost_usd": "0.000120"}
    assert batches_shown._so_far(batch) == "$0.000120, 2 failed"
    assert batches_shown._so_far({"cost_usd": None}) == "price unknown"

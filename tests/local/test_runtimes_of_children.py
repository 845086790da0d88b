"""How the engines `torch` and `command` start their children. What becomes of them: test_child.py."""

from __future__ import annotations

import socket
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from children import tools
from gatemill.core.errors import ExtraNotInstalled, ModelLoadFailed
from gatemill.core.model import ModelSpec
from gatemill.local import child
from gatemill.local.child import free_port
from gatemill.local.options import Options
from gatemill.local.probing import Address
from gatemill.local.runtimes import command, torch
from gatemill.local.runtimes.command import Template
from gatemill.local.runtimes.torch import Runner


def spec(**options):
    return ModelSpec("m", "generate", "torch", options=options)


def test_a_command_is_filled_in():
    plan = Template(
        argv=("run", "--model={model}", "{name}:{port}", "{token}", "{other}"),
        values={"model": "/a", "name": "m"},
        log=Path("log"),
        log_bytes=9,
        stop_timeout_s=1,
    )
    found = plan.command(Address(port=7, token="t"))
    assert found.argv == ("run", "--model=/a", "m:7", "t", "{other}")
    assert found.variables == {"VLLM_API_KEY": "t", "LLAMA_API_KEY": "t", "GATEMILL_TOKEN": "t"}
    one, other = plan.address(), plan.address()
    assert one.port
    assert one.token != other.token


def test_our_runner_listens_where_nobody_else_may_look():
    plan = Runner(("--model", "/a"), Path("log"), 9, 1)
    address = plan.address()
    folder = Path(address.socket_path).parent
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(address.socket_path) < 100
    argv = plan.command(address).argv
    assert argv[:4] == (sys.executable, "-m", "gatemill.runner", "--with-parent")
    assert argv[4:] == ("--socket", address.socket_path, "--model", "/a")
    plan.ended(address)
    assert not folder.exists()


def test_options_of_the_runner_are_its_arguments():
    given = {"context_tokens": 9, "device": "cpu", "batching": False, "output_default": 5}
    assert torch._arguments(Options(spec(**given)), 77) == (
        *("--cache-bytes", "77", "--context-tokens", "9", "--output-default", "5"),
        *("--device", "cpu", "--no-batching"),
    )
    assert torch._arguments(Options(spec()), 7) == ("--cache-bytes", "7")


async def test_torch_generates_and_does_nothing_else(tmp_path):
    wanted = ModelSpec("m", "embed", "torch")
    with pytest.raises(ModelLoadFailed, match="must be `generate`"):
        await torch.load(wanted, tools(tmp_path))


@pytest.mark.skipif(find_spec("torch") is not None, reason="torch is installed here")
async def test_without_the_extra_the_command_that_installs_it_is_said(tmp_path):
    with pytest.raises(ExtraNotInstalled, match=r"^pip install 'gatemill\[torch\]'$"):
        await torch.load(spec(), tools(tmp_path))


async def test_the_folder_of_a_command_is_fetched_when_it_is_named(tmp_path):
    wanted = ModelSpec(
        "m",
        "generate",
        "command",
        source="file:/models/x",
        options={"command": ["sh", "-c", "echo got {model}; exit 3", "{port}"]},
    )
    with pytest.raises(ModelLoadFailed, match=r"with code 3\. got /models/x"):
        await command.load(wanted, tools(tmp_path))


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (lambda o: o.text("x"), 1),
        (lambda o: o.whole("x", 1), -1),
        (lambda o: o.whole("x", 1), True),
        (lambda o: o.seconds("x", 1), 0),
        (lambda o: o.seconds("x", 1), "1"),
        (lambda o: o.truth("x", default=True), 1),
        (lambda o: o.texts("x"), "abc"),
        (lambda o: o.texts("x"), [1]),
    ],
)
def test_an_option_of_another_type_is_refused_by_name(read, value):
    with pytest.raises(ModelLoadFailed, match="The option `x` of `m` must be"):
        read(Options(spec(x=value)))


def test_options_are_read():
    options = Options(spec(text="a", whole=2, seconds=1, truth=False, texts=("a", "b")))
    assert options.text("text") == "a"
    assert options.whole("whole", 1) == 2
    assert options.seconds("seconds", 5) == 1.0
    assert options.truth("truth", default=True) is False
    assert options.texts("texts") == ("a", "b")
    assert options.whole("none", 7) == 7


def test_a_child_listens_where_no_connection_begins():
    assert {free_port() in range(20_000, 30_000) for _ in range(50)} == {True}


def test_a_port_that_somebody_listens_on_is_not_free(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(child, "_PORTS", [port] * child._TRIES)
        assert free_port() not in (port, 0)

"""`gatemill chat`: one question, the answer as it comes. Rule: the answer alone goes to standard output."""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer

from gatemill.cli.answers_shown import footer, told
from gatemill.cli.completing import models
from gatemill.cli.failure import Failure
from gatemill.cli.gateway_options import DATA, DEFAULT_URL, Data, Key
from gatemill.cli.key_file import dev_key
from gatemill.cli.ledger_access import AsJson
from gatemill.cli.terminal import environment, note, paint, print_json

if TYPE_CHECKING:
    from gatemill.cli.stream import Gateway

_INPUT_CHARS_MAX = 10_000_000
_MESSAGES_MAX = 40  # of a conversation that go along with a question
COMPARED_MAX = 4


def chat(
    text: Annotated[
        str | None,
        typer.Argument(
            metavar="QUESTION",
            help="The question; - reads standard input, without one you can go on.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help="Model name; by default the first one.", autocompletion=models
        ),
    ] = None,
    compare: Annotated[
        str,
        typer.Option(
            metavar="A,B",
            help="Ask these models, and show their answers together.",
            autocompletion=models,
        ),
    ] = "",
    url: Annotated[str | None, typer.Option(help=f"The gateway; by default {DEFAULT_URL}.")] = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Ask a model through a running gateway."""
    from gatemill.cli.stream import Gateway

    environ = environment()
    gateway = Gateway(
        url or environ.get("GATEMILL_URL") or DEFAULT_URL,
        key or environ.get("GATEMILL_API_KEY") or dev_key(data_dir),
    )
    if text is None and sys.stdin.isatty() and not compare:
        _converse(gateway, model or _first_model(gateway), as_json=as_json)
        return
    question = sys.stdin.read(_INPUT_CHARS_MAX) if text in {None, "-"} else text
    assert question is not None
    if compare:
        from gatemill.cli.comparing import compare as ask_all

        ask_all(gateway, _names(compare, model), question, as_json=as_json)
        return
    _answer(gateway, model or _first_model(gateway), question, as_json=as_json)


def _names(said: str, model: str | None) -> list[str]:
    """The models to compare. Raises Failure."""
    names = [name.strip() for name in said.split(",") if name.strip()]
    names = names if model is None or model in names else [model, *names]
    if not 2 <= len(names) <= COMPARED_MAX or len(set(names)) < len(names):
        fix = "--compare fast,smart"
        raise Failure(f"--compare takes 2 to {COMPARED_MAX} models", fix=fix, code=2)
    return names


def _answer(
    gateway: Gateway, model: str, said: str | list[dict[str, str]], *, as_json: bool
) -> str:
    """The answer, which was shown while it came."""
    from gatemill.cli.stream import Summary

    summary = Summary()
    pieces = []
    for piece in gateway.chat(model, said, summary):
        pieces.append(piece)
        if not as_json:
            sys.stdout.write(piece)
            sys.stdout.flush()
    whole = "".join(pieces)
    if as_json:
        print_json(told(whole, summary))
    else:
        sys.stdout.write("\n")
        sys.stdout.flush()  # before what is noted beside it
        note(paint(footer(summary), "2", sys.stderr))
    return whole


def _converse(gateway: Gateway, model: str, *, as_json: bool) -> None:
    """One question after the other, until an empty line; the model is told what was said before."""
    with suppress(ImportError):
        import_module("readline")  # arrows, and what was typed before
    note(paint(f"{model} · an empty line ends", "2", sys.stderr))
    messages: list[dict[str, str]] = []
    while True:
        try:
            text = input("> ")
        except EOFError:
            return
        if not text.strip():
            return
        messages.append({"role": "user", "content": text})
        answer = _answer(gateway, model, messages[-_MESSAGES_MAX:], as_json=as_json)
        messages.append({"role": "assistant", "content": answer})


def _first_model(gateway: Gateway) -> str:
    """A model to talk to: the first that is no pattern, not for embeddings nor built in; echo at last."""
    names = [name for name in gateway.models() if "*" not in name and "embed" not in name]
    return next((n for n in names if n != "echo" and not n.startswith("builtin/")), "echo")

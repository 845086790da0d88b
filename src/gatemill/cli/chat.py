"""`gatemill chat`: one question, the answer as it comes. Rule: the answer alone goes to standard output."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from gatemill.cli.failure import Failure
from gatemill.cli.gateway_options import DATA, DEFAULT_URL, Data, Key
from gatemill.cli.terminal import environment, note, paint

if TYPE_CHECKING:
    from pathlib import Path

    from gatemill.cli.stream import Gateway, Summary

_INPUT_CHARS_MAX = 10_000_000


def chat(
    text: Annotated[str, typer.Argument(help="The question; - reads standard input.")],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Model name; by default the first one.")
    ] = None,
    url: Annotated[str | None, typer.Option(help=f"The gateway; by default {DEFAULT_URL}.")] = None,
    key: Key = None,
    data_dir: Data = DATA,
) -> None:
    """Ask a model through a running gateway."""
    from gatemill.cli.stream import Gateway, Summary

    environ = environment()
    gateway = Gateway(
        url or environ.get("GATEMILL_URL") or DEFAULT_URL,
        key or environ.get("GATEMILL_API_KEY") or dev_key(data_dir),
    )
    question = sys.stdin.read(_INPUT_CHARS_MAX) if text == "-" else text
    summary = Summary()
    for piece in gateway.chat(model or _first_model(gateway), question, summary):
        sys.stdout.write(piece)
        sys.stdout.flush()
    sys.stdout.write("\n")
    note(paint(_footer(summary), "2", sys.stderr))


def dev_key(data_dir: Path) -> str:
    """The development key; "" when there is none, which the gateway will complain about."""
    file = data_dir / "dev.key"
    try:
        return file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"cannot read {file}: {error}", fix="--key") from error


def _first_model(gateway: Gateway) -> str:
    """A model to talk to: the first that is no pattern, not for embeddings nor built in; echo at last."""
    names = [name for name in gateway.models() if "*" not in name and "embed" not in name]
    return next((n for n in names if n != "echo" and not n.startswith("builtin/")), "echo")


def _footer(summary: Summary) -> str:
    from gatemill.core.money import dollars

    parts = [summary.model]
    if summary.input_tokens is not None:
        parts.append(f"in {summary.input_tokens} out {summary.output_tokens}")
    if summary.cost_microusd is not None:
        parts.append(dollars(summary.cost_microusd))
    elif summary.attempts is not None:
        parts.append("price unknown")
    if summary.first_token_ms is not None:
        parts.append(f"first token {summary.first_token_ms:.0f} ms")
    parts.append(f"total {summary.total_ms:.0f} ms")
    if (summary.attempts or 1) > 1:
        parts.append(f"{summary.attempts} attempts")
    return " · ".join([*parts, summary.request_id]).rstrip(" ·")

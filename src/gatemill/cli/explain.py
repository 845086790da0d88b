"""`gatemill explain`: what would become of a request, or what became of one. Rule: asks, sends nothing on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from gatemill.cli.asking import asked
from gatemill.cli.failure import Failure
from gatemill.cli.gateway_options import DATA, Data, Key, Url
from gatemill.cli.ledger_access import AsJson
from gatemill.cli.terminal import digits, print_json, print_table, print_text

if TYPE_CHECKING:
    from collections.abc import Sequence

_INPUT_CHARS_MAX = 33_554_432


def explain(
    request: Annotated[
        str, typer.Argument(metavar="FILE", help="A request's JSON body; - is standard input.")
    ] = "",
    request_id: Annotated[
        str, typer.Option("--id", help="A past request instead: its x-request-id.")
    ] = "",
    operation: Annotated[
        str, typer.Option(help="What the body is for; by default told from its fields.")
    ] = "",
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Say what would happen to a request, or did."""
    if bool(request) == bool(request_id):
        raise Failure("name a file or an id", fix="gatemill explain request.json", code=2)
    where = (url, key, data_dir)
    if request_id:
        said = asked(where, "GET", f"/api/v1/requests/{quote(request_id, safe='')}/explain")
    else:
        query = f"?operation={quote(operation, safe='')}" if operation else ""
        said = asked(where, "POST", f"/v1/explain{query}", _body(request))
    if as_json:
        print_json(said)
    else:
        _show(said)


def _body(name: str) -> bytes:
    if name == "-":
        return sys.stdin.read(_INPUT_CHARS_MAX).encode()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise Failure(f"cannot read {name}: {error.strerror}", fix="name a file, or -") from error


def _show(said: dict[str, Any]) -> None:
    outcome = said["outcome"]
    lines = [
        ("outcome", _outcome(outcome)),
        ("request", f"{said['operation']}, model {said.get('model', '-')}"),
        ("key", " ".join(str(said["key"][name]) for name in ("id", "name") if name in said["key"])),
    ]
    if "target" in said:
        version = f", version {said['version']}" if said["version"] else ""
        lines.append(("target", f"{said['target'] or 'none'} ({said['reason']}){version}"))
    cache = said.get("cache")
    if cache:
        lines.append(("cache", cache if isinstance(cache, str) else cache["state"]))
    if said.get("findings"):
        lines.append(("guards", ", ".join(map(_finding, said["findings"]))))
    if "tokens" in said:
        lines.append(("tokens", _tokens(said["tokens"])))
    if "cost_usd" in said:
        lines.append(("cost", _cost(said["cost_usd"])))
    for name, text in lines:
        print_text(f"{name:<8} {text}")
    if said.get("attempts"):
        _show_rows(said["attempts"], ("target", "status", "code", "latency_ms", "cost_usd"))
    elif len(said.get("candidates", ())) > 1:
        _show_rows(said["candidates"], ("target", "score", "note"))
    if said.get("limits"):
        _show_rows(
            [_limit(each) for each in said["limits"]], ("scope", "id", "limit", "most", "left")
        )


def _outcome(outcome: dict[str, Any]) -> str:
    if outcome["code"]:
        message = outcome.get("message", "")
        return f"{outcome['status']} {outcome['code']}{': ' if message else ''}{message}"
    return f"{outcome['status']}{' from the ' + outcome['from'] if 'from' in outcome else ''}"


def _finding(found: dict[str, Any]) -> str:
    places = f" ({found['count']} places)" if found["count"] > 1 else ""
    return f"{' '.join(found[name] for name in ('side', 'guard', 'kind', 'mode'))}{places}"


def _tokens(tokens: dict[str, Any]) -> str:
    most = tokens["output_most"]
    answer = "an answer without a limit" if most is None else f"answer at most {most}"
    return f"prompt {tokens['prompt']} (at most {tokens['prompt_most']}), {answer}"


def _cost(cost: Any) -> str:
    if not isinstance(cost, dict):
        return "price unknown" if cost is None else f"${cost}"
    if cost["expected"] is None:
        return "price unknown"
    most = "" if cost["most"] is None else f", at most ${cost['most']}"
    return f"about ${cost['expected']}{most}"


def _limit(limit: dict[str, Any]) -> dict[str, Any]:
    if "most_usd" not in limit:
        return limit
    return {**limit, "most": f"${limit['most_usd']}", "left": f"${limit['left_usd']}"}


def _show_rows(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    print_text("")
    headings = [name.replace("_", " ").upper() for name in names]
    print_table(headings, [[_cell(row.get(name)) for name in names] for row in rows])


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return digits(value)
    return "-" if value in (None, "") else str(value)

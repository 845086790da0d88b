"""`gatemill usage`: what was used, by whom, of what. Rule: the figures of GET /api/v1/usage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatemill.cli.ledger_access import AsJson, Config, DataDir, with_ledger
from gatemill.cli.terminal import print_json, print_table, print_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gatemill.ledger.ledger import Ledger
    from gatemill.ledger.summaries import Spread, Summary
    from gatemill.ledger.usage import Filters

    Report = tuple[list[dict[str, Any]], dict[str, str]]  # rows, and the names of keys by id

_BY = "key, user, team, model, provider, target, operation, version, cache; minute, hour or day"
_COLUMNS = {  # of the report: heading on a terminal
    "requests": "REQUESTS",
    "failed": "FAILED",
    "prompt_tokens": "TOKENS IN",
    "completion_tokens": "TOKENS OUT",
    "cost_usd": "COST $",
    "mean_latency_ms": "MEAN MS",
}

Key = Annotated[str, typer.Option(help="Only this key, by its id.")]
User = Annotated[str, typer.Option(help="Only this user.")]
Team = Annotated[str, typer.Option(help="Only this team.")]
Model = Annotated[str, typer.Option(help="Only this model.")]

app = typer.Typer(
    help="What was used, by whom, of what.",
    invoke_without_command=True,
    rich_markup_mode=None,
)


@app.callback()
def report(
    context: typer.Context,
    by: Annotated[str, typer.Option(help=f"With commas between: {_BY}.")] = "model",
    since: Annotated[str, typer.Option(help="7d, 12h, a date, or a time in UTC.")] = "7d",
    until: Annotated[str, typer.Option(help="The same; by default now.")] = "",
    key: Key = "",
    user: User = "",
    team: Team = "",
    model: Model = "",
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, for a spreadsheet.")] = False,
    as_json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Add up requests, tokens and money."""
    if context.invoked_subcommand is not None:
        return
    names = tuple(name.strip() for name in by.split(",") if name.strip())

    async def work(ledger: Ledger, now_s: float) -> Report:
        import msgspec

        from gatemill.ledger.reports import Query
        from gatemill.wire import report as rows
        from gatemill.wire.moments import moment_s

        query = Query(
            moment_s(since, now_s, "--since"),
            moment_s(until, now_s, "--until") if until else now_s,
            names,
            _filters(key, user, team, model),
        )
        lines = await ledger.reports.usage(query)
        found = [rows.row(names, msgspec.structs.asdict(x), x.mean_latency_ms) for x in lines]
        known = map(ledger.keys.by_id, {row["key_id"] for row in found if "key_id" in row})
        return found, {key.id: key.name for key in known if key is not None}

    found, keys = with_ledger(config, data_dir, work)
    _show(names, found, keys, as_csv=as_csv, as_json=as_json)


@app.command("summary")
def summary(
    hours: Annotated[int, typer.Option(min=1, max=8784, help="How far back.")] = 24,
    key: Key = "",
    user: User = "",
    team: Team = "",
    model: Model = "",
    as_json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Show the last hours at a glance."""

    async def work(ledger: Ledger, now_s: float) -> Summary:
        filters = _filters(key, user, team, model)
        return await ledger.reports.summary(now_s - hours * 3600, now_s, filters)

    found = with_ledger(config, data_dir, work)
    if as_json:
        import msgspec

        from gatemill.wire import report as rows

        print_json({"hours": hours, **rows.summary(msgspec.to_builtins(found))})
        return
    for name, text in _lines(found, hours):
        print_text(f"{name:<12} {text}".rstrip())


def _filters(key: str, user: str, team: str, model: str) -> Filters:
    from gatemill.ledger.usage import Filters

    return Filters(key=key, user=user, team=team, model=model)


def _show(
    names: Sequence[str],
    found: Sequence[dict[str, Any]],
    keys: Mapping[str, str],
    *,
    as_csv: bool,
    as_json: bool,
) -> None:
    from gatemill.wire import report as rows

    if as_json:
        print_json(found)
    elif as_csv:
        print_text(rows.as_csv(names, found).replace("\r\n", "\n").rstrip("\n"))
    else:
        labels = [rows.LABELS.get(name, name) for name in names]
        headings = [*(name.upper() for name in names), *_COLUMNS.values()]
        cells = [[_cell(each, column, keys) for column in (*labels, *_COLUMNS)] for each in found]
        print_table(headings, cells)


def _cell(row: dict[str, Any], column: str, keys: Mapping[str, str]) -> str:
    value = row[column]
    if column == "key_id" and value in keys:
        return f"{keys[value]} ({value})"  # two keys may have one name
    if column == "mean_latency_ms":
        return _ms(value)
    if column == "cost_usd" and row["unpriced"]:
        return f"{value}+"  # and some whose price is not known
    return str(value) or "-"


def _lines(found: Summary, hours: int) -> list[tuple[str, str]]:
    from gatemill.core.money import dollars

    rate = "-" if found.success_rate is None else f"{found.success_rate:.2%}"
    prompt = found.input_tokens + found.cache_read_tokens + found.cache_write_tokens
    answer = found.output_tokens + found.reasoning_tokens + found.output_audio_tokens
    unpriced = f", {found.unpriced} without a price" if found.unpriced else ""
    return [
        ("last", f"{hours} h"),
        ("requests", f"{found.requests}, {rate} good; {found.attempts} attempts"),
        ("latency", _times(found.latency)),
        ("first token", _times(found.first_token)),
        ("tokens", f"prompt {prompt + found.input_audio_tokens}, answer {answer}"),
        ("cost", dollars(found.cost_microusd) + unpriced),
        ("cache", f"{found.cache_hits} answered from it"),
        ("operations", _counts(found.operations)),
        ("models", _counts(found.models)),
        ("errors", _counts(found.errors) or "none"),
    ]


def _times(spread: Spread) -> str:
    parts = (
        ("mean", spread.mean_ms),
        ("p50", spread.p50_ms),
        ("p95", spread.p95_ms),
        ("p99", spread.p99_ms),
    )
    return ", ".join(f"{name} {_ms(ms)} ms" for name, ms in parts)


def _ms(ms: float | None) -> str:
    if ms is None:
        return "-"
    return f"{ms:.1f}" if ms < 10 else f"{ms:.0f}"


def _counts(shares: Sequence[Any]) -> str:
    return ", ".join(f"{share.name} {share.times}" for share in shares)

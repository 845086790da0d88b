"""`gatemill bench`: how fast a gateway answers, and what it adds to a provider. Rule: what costs money is asked for first."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from gatemill.cli.failure import Failure
from gatemill.cli.gateway_options import DATA, Data, Key, Url
from gatemill.cli.ledger_access import AsJson
from gatemill.cli.terminal import environment, note, print_json, print_table, print_text

if TYPE_CHECKING:
    from gatemill.cli.asking import Where
    from gatemill.cli.bench_load import Place, Plan, Tally

# Without our prefix: what has it is an option of the server.
AGAINST_KEY = "BENCH_AGAINST_KEY"
_CALLERS_MAX = 4096
_HOME = {"127.0.0.1", "::1", "localhost"}
_TEXT = "Explain in plain words how a water mill turns a stream into work, step by step."
_DIGITS = 2  # of milliseconds


def bench(
    model: Annotated[str, typer.Option("--model", "-m", help="Model name.")] = "echo",
    callers: Annotated[
        int, typer.Option("--concurrency", "-c", min=1, max=_CALLERS_MAX, help="Callers at once.")
    ] = 64,
    duration: Annotated[
        str, typer.Option("--duration", "-d", help="How long each place is asked, such as 10s.")
    ] = "10s",
    stream: Annotated[bool, typer.Option("--stream", help="Ask for streams.")] = False,
    against: Annotated[
        str,
        typer.Option(metavar="URL", help="A provider asked directly in turns, ending in /v1."),
    ] = "",
    against_key: Annotated[
        str, typer.Option(help="Its key.", envvar=AGAINST_KEY, metavar="KEY")
    ] = "",
    against_model: Annotated[str, typer.Option(help="Its name of the model.")] = "",
    text: Annotated[str, typer.Option("--prompt", help="The question.")] = _TEXT,
    output_max: Annotated[
        int, typer.Option("--max-tokens", min=1, help="Longest answer, in tokens.")
    ] = 128,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before money is spent.")] = False,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Measure how fast a running gateway answers.

    With --against, a provider is asked in turns with it, and what the gateway adds is told.
    """
    import asyncio

    from gatemill.cli import bench_load
    from gatemill.cli.bar import Bar

    plan = bench_load.Plan(callers, _length_s(duration), stream, text, output_max)
    where = (url, key, data_dir)
    cost = _cost(where, bench_load.body(model, plan))
    if cost != 0 or (against and urlsplit(against).hostname not in _HOME):
        _consent(cost, plan, yes=yes)
    places = [_gateway(where, model)]
    if against:
        places.append(bench_load.Place(_base(against), against_key, against_model or model))
    total_s = plan.seconds * len(places)
    with Bar() as bar:

        def tell(passed_s: float, ended: int) -> None:
            bar.show(int(passed_s), max(1, int(total_s)), f"s, {ended:,} requests")

        found = asyncio.run(bench_load.measured(places, plan, tell))
    result = _result(places, plan, found, cost)
    if as_json:
        print_json(result)
    else:
        _show(result)
    if not result["gateway"]["requests"] - sum(result["gateway"]["errors"].values()):
        raise Failure("no request was answered", fix="gatemill chat -m MODEL hello says why")


def _length_s(text: str) -> float:
    """Of 10s, 0.5s or 2m. Raises Failure."""
    from gatemill.cli.options import seconds

    number = text.removesuffix("s")
    is_decimal = number.isascii() and number.replace(".", "", 1).isdecimal()
    length_s = float(number) if is_decimal else seconds(text, "-d ")
    if not length_s:
        raise Failure(f"-d {text} measures nothing", fix="gatemill bench -d 10s", code=2)
    return length_s


def _cost(where: Where, request: bytes) -> float | None:
    """Dollars that one request costs, as the gateway foresees it; None where it does not know. Raises Failure."""
    from gatemill.cli.asking import asked

    said = asked(where, "POST", "/v1/explain", request)
    outcome = said["outcome"]
    if outcome["status"] != 200:
        message = outcome.get("message") or outcome["code"]
        raise Failure(f"the gateway would refuse it: {message}", fix="gatemill models")
    cost = said.get("cost_usd")
    expected = cost.get("expected") if isinstance(cost, dict) else None
    return None if expected is None else float(expected)


def _consent(cost: float | None, plan: Plan, *, yes: bool) -> None:
    """Somebody has agreed to spend it. Raises Failure."""
    each = "an unknown amount" if cost is None else f"about ${cost:.6f}"
    note(f"Each request costs {each}; {plan.callers} callers ask for {plan.seconds:g} s.")
    if yes:
        return
    if not sys.stdin.isatty():
        raise Failure("this spends money", fix="--yes", code=2)
    if not typer.confirm("Spend it?", err=True):
        raise Failure("nothing was sent", code=1)


def _gateway(where: Where, model: str) -> Place:
    from gatemill.cli.bench_load import Place
    from gatemill.cli.exchange import url_of
    from gatemill.cli.key_file import dev_key

    key = where[1] or environment().get("GATEMILL_API_KEY") or dev_key(where[2])
    return Place(_base(url_of(where)), key, model)


def _base(url: str) -> str:
    """Where /chat/completions is appended. Raises Failure."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Failure(f"{url} is not a URL", fix="--against http://127.0.0.1:8800/v1", code=2)
    return url.rstrip("/") if parts.path.strip("/") else f"{url.rstrip('/')}/v1"


def _result(
    places: list[Place], plan: Plan, found: list[list[Tally]], cost: float | None
) -> dict[str, Any]:
    from gatemill.cli.bench_load import Tally

    whole = [Tally() for _ in places]
    for tallies in found:
        for tally, more in zip(whole, tallies, strict=True):
            tally.add(more)
    result: dict[str, Any] = {
        "model": places[0].model,
        "stream": plan.streams,
        "concurrency": plan.callers,
        "duration_s": plan.seconds,
        "rounds": len(found),
        "cost_usd_each": cost,
        "gateway": {"url": places[0].url, **_figures(whole[0])},
    }
    if len(places) > 1:
        result["direct"] = {"url": places[1].url, **_figures(whole[1])}
        result["overhead"] = _overhead(found)
    return result


def _figures(tally: Tally) -> dict[str, Any]:
    good = len(tally.total_s)
    return {
        "requests": tally.requests,
        "errors": dict(tally.errors.most_common()),
        "per_s": round(good / tally.seconds, 1) if tally.seconds else 0.0,
        **{f"p{share}_ms": _percentile(tally.total_s, share) for share in (50, 95, 99)},
        "first_token_p50_ms": _percentile(tally.first_s, 50),
        "first_token_p95_ms": _percentile(tally.first_s, 95),
    }


def _overhead(found: list[list[Tally]]) -> dict[str, float | None]:
    """What the gateway adds: the difference of each round, and of these the middle one."""
    import statistics

    def added(share: int, *, first: bool) -> float | None:
        differences = []
        for gateway, direct in found:
            ours, theirs = (
                _percentile(each.first_s if first else each.total_s, share)
                for each in (gateway, direct)
            )
            if ours is not None and theirs is not None:
                differences.append(ours - theirs)
        return round(statistics.median(differences), _DIGITS) if differences else None

    said = {f"p{share}_ms": added(share, first=False) for share in (50, 95, 99)}
    return {**said, "first_token_p50_ms": added(50, first=True)}


def _percentile(values_s: list[float], share: int) -> float | None:
    """In milliseconds; None of nothing."""
    if not values_s:
        return None
    ordered = sorted(values_s)
    at = min(len(ordered) - 1, len(ordered) * share // 100)
    return round(ordered[at] * 1000, _DIGITS)


def _show(result: dict[str, Any]) -> None:
    how = "streams" if result["stream"] else "complete answers"
    print_text(
        f"{result['model']}, {how}, {result['concurrency']} callers, {result['duration_s']:g} s"
        + (f" each in {result['rounds']} turns" if "direct" in result else "")
    )
    names = ["p50_ms", "p95_ms", "p99_ms"] + ["first_token_p50_ms"] * result["stream"]
    rows = []
    for place in ("gateway", "direct"):
        if place in result:
            said = result[place]
            counts = [f"{said['requests']:,}", f"{said['per_s']:,.1f}"]
            failed = f"{sum(said['errors'].values()):,}"
            rows.append([place, *counts, *(_ms(said[name]) for name in names), failed])
    if "overhead" in result:
        added = [_ms(result["overhead"][name], signed=True) for name in names]
        rows.append(["overhead", "", "", *added, ""])
    heads = [name.removesuffix("_ms").replace("_", " ").upper() + " MS" for name in names]
    print_table(["", "REQUESTS", "PER S", *heads, "ERRORS"], rows)
    for place in ("gateway", "direct"):
        for code, count in result.get(place, {}).get("errors", {}).items():
            print_text(f"{place}: {count:,} x {code}")


def _ms(value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return "-"
    return f"{value:+,.2f}" if signed else f"{value:,.2f}"

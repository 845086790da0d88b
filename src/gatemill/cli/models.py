"""`gatemill models`: the names that clients can use, where they lead, and what they cost."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatemill.cli import model_files, registry, registry_names, runners
from gatemill.cli.gateway_options import DATA, Data, Key, Url
from gatemill.cli.ledger_access import AsJson
from gatemill.cli.terminal import note, print_json, print_table, settings

if TYPE_CHECKING:
    from gatemill.core.call import Price
    from gatemill.policy.price_table import PriceBook
    from gatemill.settings import Loaded, Target

_FREE = ("echo", "local")  # dialects of what runs here
_PICO_PER_TOKEN = 1_000_000  # in one dollar per million tokens


Config = Annotated[Path | None, typer.Option(help="Configuration file.")]

app = typer.Typer(
    help="Model names, models that run here, versions.",
    rich_markup_mode=None,
)
app.command("pull")(model_files.pull)
app.command("export")(model_files.export)
app.command("bench")(model_files.bench)
app.command("load")(runners.load)
app.command("unload")(runners.unload)
registry.add(app)


@app.callback(invoke_without_command=True)
def models(context: typer.Context, config: Config = None, as_json: AsJson = False) -> None:
    """List the model names, their targets and prices."""
    if context.invoked_subcommand is None:
        _list(config, as_json=as_json)


@app.command("ls")
@app.command("list", hidden=True)
def listed(
    local: Annotated[
        bool, typer.Option("--local", help="How those stand that run in a running gateway.")
    ] = False,
    names: Annotated[
        bool, typer.Option("--registry", help="The names in the registry of a running gateway.")
    ] = False,
    config: Config = None,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """List model names. Those of the configuration; with --registry or --local those of a gateway."""
    if local:
        runners.show((url, key, data_dir), as_json=as_json)
    elif names:
        registry_names.show((url, key, data_dir), as_json=as_json)
    else:
        _list(config, as_json=as_json)


def _list(config: Path | None, *, as_json: bool) -> None:
    loaded = settings(config)
    rows = list(_rows(loaded))
    if as_json:
        print_json(rows)
        return
    print_table(
        ("NAME", "TARGETS", "$/M IN", "$/M OUT", "FROM"),
        [
            (
                row["name"],
                ", ".join(_target_text(target) for target in row["targets"])
                + "".join(f" > {name}" for name in row["fallbacks"]),
                _range(row["targets"], "input_usd_per_mtok"),
                _range(row["targets"], "output_usd_per_mtok"),
                row["origin"],
            )
            for row in rows
        ],
    )
    if loaded.settings.server.direct_models:
        names = ", ".join(f"{name}/…" for name in loaded.settings.providers)
        note(f"Any model of a provider is reached directly: {names}")


def _rows(loaded: Loaded) -> list[dict[str, Any]]:
    from gatemill.house import price_book
    from gatemill.settings import path_text

    book = price_book(loaded.settings)
    now_s = time.time()
    rows = []
    for name, model in loaded.settings.models.items():
        path = path_text(("models", name, "targets", 0, "provider"))
        targets = []
        for target in model.targets:
            price = _price(loaded, book, target, now_s)
            targets.append(
                {
                    "provider": target.provider,
                    "model": target.model,
                    "weight": target.weight,
                    "input_usd_per_mtok": price and price.input / _PICO_PER_TOKEN,
                    "output_usd_per_mtok": price and price.output / _PICO_PER_TOKEN,
                }
            )
        rows.append(
            {
                "name": name,
                "targets": targets,
                "fallbacks": list(model.fallbacks),
                "description": model.description,
                "origin": loaded.origins[path],
            }
        )
    return rows


def _price(loaded: Loaded, book: PriceBook, target: Target, now_s: float) -> Price | None:
    from gatemill.core.call import Price
    from gatemill.settings import vendors

    if target.model == "*":
        return None
    kind = loaded.settings.providers[target.provider].kind
    if vendors()[kind].dialect in _FREE:
        return Price(0, 0, 0, 0, 0, 0, 0)
    return book.price(target.provider, vendors()[kind].prices or kind, target.model, now_s)


def _target_text(target: dict[str, Any]) -> str:
    share = f" x{target['weight']}" if target["weight"] != 1 else ""
    return f"{target['provider']}/{target['model']}{share}"


def _range(targets: list[dict[str, Any]], field: str) -> str:
    """One figure, or the span over the targets; "?" where one is unknown."""
    if any(target["model"] == "*" for target in targets):
        return "by model"
    figures = [target[field] for target in targets]
    if None in figures:
        return "?"
    low, high = min(figures), max(figures)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"

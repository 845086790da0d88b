"""All commands. Rule: one file each; this one only names them."""

from __future__ import annotations

from typing import Annotated

import typer

from gatemill.cli import (
    alerts,
    ask,
    batch,
    bench,
    chat,
    check,
    config,
    consume,
    data,
    db,
    doctor,
    experiments,
    explain,
    fake_provider,
    features,
    init,
    jobs,
    keys,
    logs,
    models,
    prompts,
    recordings,
    reload,
    replay,
    serve,
    stores,
    teams,
    ui,
    usage,
    users,
    webhooks,
    worker,
)
from gatemill.cli.terminal import print_text
from gatemill.core.version import VERSION

# Without rich's markup `--help` costs a third: 0.12 s of CPU instead of 0.5 (Python 3.11, 2026-11).
app = typer.Typer(
    name="gatemill",
    help="One OpenAI-compatible door to every model, hosted or local, in one process.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("serve")(serve.serve)
app.command("worker")(worker.worker)
app.command("consume")(consume.consume)
app.command("reload")(reload.reload)
app.command("init")(init.init)
app.command("check")(check.check)
app.command("doctor")(doctor.doctor)
app.add_typer(config.app, name="config")
app.add_typer(keys.app, name="keys")
app.add_typer(teams.app, name="teams")
app.add_typer(users.app, name="users")
app.command("ui")(ui.ui)
app.command("logs")(logs.logs)
app.add_typer(usage.app, name="usage")
app.add_typer(alerts.app, name="alerts")
app.add_typer(db.app, name="db")
app.add_typer(data.app, name="data")
app.add_typer(jobs.app, name="jobs")
app.add_typer(batch.app, name="batch")
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(experiments.app, name="experiments")
app.add_typer(models.app, name="models")
app.add_typer(prompts.app, name="prompts")
app.add_typer(features.app, name="features")
app.add_typer(recordings.app, name="recordings")
app.command("replay")(replay.replay)
app.command("chat")(chat.chat)
app.command("ask")(ask.ask)
app.add_typer(stores.app, name="stores")
app.command("explain")(explain.explain)
app.command("bench")(bench.bench)
app.command("fake-provider")(fake_provider.fake_provider)


def _version(value: bool) -> None:
    if value:
        print_text(f"gatemill {VERSION}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    pass  # the docstring of the program stands in `app`; run() reads --debug

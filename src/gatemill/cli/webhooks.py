"""`gatemill webhooks`: who is told of ended jobs. Rule: asks a running gateway, as any program can."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any
from urllib.parse import quote

import typer

from gatemill.cli import options
from gatemill.cli.asking import Where, asked, pages, told
from gatemill.cli.failure import Failure
from gatemill.cli.gateway_options import DATA, Data, Key, Limit, Url
from gatemill.cli.ledger_access import AsJson
from gatemill.cli.terminal import note, print_json, print_text
from gatemill.core.clock import SystemClock

PATH = "/v1/webhooks"
PORT = 8790
EventsOption = Annotated[
    str, typer.Option(help='What to tell of, with commas between, such as "job.*,batch.failed".')
]
EndpointId = Annotated[str, typer.Argument(metavar="ID", help="Id of the webhook, we_…")]
Overlap = Annotated[str, typer.Option(help="How long the old secret signs as well: 0s, 90m, 24h.")]

app = typer.Typer(
    help="Webhooks: who is told when jobs end, and what became of it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("listen")
def listen(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes any free one.")] = PORT,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    secret: Annotated[
        list[str] | None,
        typer.Option(help="Secret to check with; repeatable. By default that of callback URLs."),
    ] = None,
    status: Annotated[int, typer.Option(min=200, max=599, help="What to answer.")] = 200,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Receive notifications here, check them and print them."""
    from gatemill.cli import webhooks_sink

    secrets = secret or _default_secret((url, key, data_dir))
    webhooks_sink.serve((host, port), secrets, status, as_json=as_json)


@app.command("test")
def try_out(
    target: Annotated[str, typer.Argument(metavar="URL|ID", help="A URL, or the id of a webhook.")],
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Have the gateway send a signed test there. Says what came back."""
    where = (url, key, data_dir)
    if "/" in target:
        said = told(where, "POST", f"{PATH}/test", {"url": target})
    else:
        said = told(where, "POST", _path(target, "/test"), {})
    if as_json:
        print_json(said)
    elif said["delivered"]:
        note(f"{target} answered {said['status']} in {said['took_ms']} ms.")
    if not said["delivered"]:
        raise Failure(
            f"{target}: {said['error']}", fix="gatemill webhooks listen shows how it looks"
        )


@app.command("add")
def add(
    target: Annotated[str, typer.Argument(metavar="URL", help="Where to send notifications.")],
    events: EventsOption = "*",
    description: Annotated[str, typer.Option(help="For people.")] = "",
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Add a webhook; print its secret, which is shown this once."""
    asks = {"url": target, "events": _events(events), "description": description}
    made = told((url, key, data_dir), "POST", PATH, asks)
    _print_secret(made, as_json=as_json)
    note(
        f"{made['id']} is told of {', '.join(made['events'])}. Keep the secret: it is not shown again."
    )


@app.command("ls")
def ls(
    limit: Limit = 100,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """List webhooks."""
    from gatemill.cli import jobs_shown, webhooks_shown

    found = pages((url, key, data_dir), PATH, {}, limit)
    jobs_shown.print_list(found, webhooks_shown.endpoints, as_json=as_json)


@app.command("set")
def change(
    endpoint_id: EndpointId,
    target: Annotated[str, typer.Option("--to", metavar="URL", help="Another URL.")] = "",
    events: EventsOption = "",
    enabled: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Tell it again, or no more.")
    ] = None,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
) -> None:
    """Change a webhook, or enable one that was disabled."""
    asks: dict[str, Any] = {"url": target} if target else {}
    if events:
        asks["events"] = _events(events)
    if enabled is not None:
        asks["enabled"] = enabled
    said = told((url, key, data_dir), "PATCH", _path(endpoint_id), asks)
    state = "is told" if said["enabled"] else "is disabled; it would be told"
    note(f"{endpoint_id} {state} of {', '.join(said['events'])} at {said['url']}.")


@app.command("rm")
def remove(
    endpoint_id: EndpointId, url: Url = None, key: Key = None, data_dir: Data = DATA
) -> None:
    """Delete a webhook; what waits for it is not sent."""
    asked((url, key, data_dir), "DELETE", _path(endpoint_id))
    note(f"{endpoint_id} is gone.")


@app.command("rotate")
def rotate(
    endpoint_id: EndpointId,
    overlap: Overlap = "24h",
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Replace the secret of a webhook; print the new one."""
    asks = {"overlap_s": options.seconds(overlap, "--overlap ")}
    _print_secret(
        told((url, key, data_dir), "POST", _path(endpoint_id, "/rotate"), asks), as_json=as_json
    )
    note(f"The old secret signs as well for {overlap}.")


@app.command("secret")
def secret(
    rotates: Annotated[bool, typer.Option("--rotate", help="Replace it first.")] = False,
    overlap: Overlap = "24h",
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Print the secret that signs what goes to callback URLs of jobs."""
    where = (url, key, data_dir)
    if rotates:
        asks = {"overlap_s": options.seconds(overlap, "--overlap ")}
        said = told(where, "POST", f"{PATH}/default_secret/rotate", asks)
    else:
        said = asked(where, "GET", f"{PATH}/default_secret")
    _print_secret(said, as_json=as_json)


@app.command("deliveries")
def deliveries(
    state: Annotated[str, typer.Option(help="Only those in this state, such as dead.")] = "",
    job: Annotated[str, typer.Option(help="Only of this job, response or batch.")] = "",
    webhook: Annotated[str, typer.Option(help="Only to this webhook.")] = "",
    limit: Limit = 20,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """List what was sent and what will be, the newest first."""
    from gatemill.cli import jobs_shown, webhooks_shown

    asks = {"state": state, "job": job, "webhook": webhook}
    found = pages((url, key, data_dir), f"{PATH}/deliveries", asks, limit)
    table = partial(webhooks_shown.deliveries, now_s=SystemClock().unix_s())
    jobs_shown.print_list(found, table, as_json=as_json)


@app.command("show")
def show(
    delivery_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the delivery, wh_…")],
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Show a delivery and what each try came to."""
    found = asked((url, key, data_dir), "GET", _path(f"deliveries/{quote(delivery_id, safe='')}"))
    if as_json:
        print_json(found)
        return
    from gatemill.cli import webhooks_shown

    webhooks_shown.show(found)


@app.command("resend")
def resend(
    delivery_ids: Annotated[list[str], typer.Argument(metavar="ID", help="Ids of deliveries.")],
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
) -> None:
    """Send what was sent or waits, now and under the same id."""
    for delivery_id in delivery_ids:
        path = f"{PATH}/deliveries/{quote(delivery_id, safe='')}/resend"
        said = told((url, key, data_dir), "POST", path, {})
        note(f"{delivery_id} is {said['state']}: gatemill webhooks show {delivery_id}")


def _events(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _print_secret(said: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(said)
    else:
        print_text(said["secret"])


def _default_secret(where: Where) -> list[str]:
    """That of callback URLs, as the gateway says; none where it cannot be asked."""
    try:
        return [asked(where, "GET", f"{PATH}/default_secret")["secret"]]
    except Failure as failure:
        note(f"Signatures are not checked: {failure.message}. Name a secret with --secret.")
        return []


def _path(endpoint_id: str, act: str = "") -> str:
    return f"{PATH}/{quote(endpoint_id, safe='/')}{act}"

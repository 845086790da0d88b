"""`gatemill ui`: a link that signs in to the dashboard once. Rule: whoever may read the database may make one."""

from __future__ import annotations

import webbrowser
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated

import typer

from gatemill.cli.failure import Failure
from gatemill.cli.ledger_access import AsJson, ServerConfig, ServerData, with_ledger
from gatemill.cli.terminal import note, print_json, print_text, settings

if TYPE_CHECKING:
    from gatemill.core.call import Key
    from gatemill.ledger.ledger import Ledger
    from gatemill.settings import Settings

_KEYS_MAX = 1000


def ui(
    of_key: Annotated[
        str, typer.Option(metavar="ID", help="Sign in with its rights; by default an admin key's.")
    ] = "",
    opens: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    url: Annotated[
        str | None, typer.Option(help="Where the dashboard is; by default as configured.")
    ] = None,
    config: ServerConfig = None,
    data_dir: ServerData = None,
    as_json: AsJson = False,
) -> None:
    """Make a link that signs in to the dashboard once."""
    base = (url or _address(settings(config, ask_servers=False).settings)).rstrip("/")

    async def made(ledger: Ledger, now_s: float) -> tuple[str, Key]:
        key = _chosen([one.key for one in await ledger.list_keys(_KEYS_MAX)], of_key, now_s)
        return await ledger.sessions.create_link(key.id, actor="cli"), key

    token, key = with_ledger(config, data_dir, made)
    link = f"{base}/ui/login?token={token}"
    if as_json:
        print_json({"url": link, "key": key.id})
    else:
        print_text(link)
        note(f"It signs in once as {key.name} ({key.id}), within 30 minutes.")
    if opens and not webbrowser.open(link):
        note("no browser could be started here; open the link yourself")


def _chosen(keys: list[Key], wanted: str, now_s: float) -> Key:
    """The key of that id, or the newest admin key. Raises Failure."""
    living = [key for key in keys if _lives(key, now_s)]
    if wanted:
        found = [key for key in living if key.id == wanted]
        if not found:
            raise Failure(f"no key that works has the id {wanted}", fix="gatemill keys ls", code=2)
        if not found[0].may("admin:read"):
            fix = "gatemill keys create NAME --scopes admin:read makes one"
            raise Failure(f"the key {wanted} may not see the dashboard", fix=fix)
        return found[0]
    able = [key for key in living if key.may("admin")] or [k for k in living if k.may("admin:read")]
    if not able:
        raise Failure("no key may see the dashboard", fix="gatemill keys create NAME --admin")
    return able[0]


def _lives(key: Key, now_s: float) -> bool:
    ends = [end for end in (key.expires_s, key.revoked_s) if end is not None]
    return all(end > now_s for end in ends)


def _address(settings: Settings) -> str:
    """Where a browser on this machine finds the dashboard."""
    if settings.auth.public_url and settings.server.admin_port is None:
        return str(settings.auth.public_url)
    server = settings.server
    admin = server.admin_port is not None
    host, port = (server.admin_host, server.admin_port) if admin else (server.host, server.port)
    with suppress(ValueError):  # a name is no address, and stays
        host = "127.0.0.1" if ip_address(host).is_unspecified else host
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"

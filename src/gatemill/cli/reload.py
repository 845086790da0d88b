"""`gatemill reload`: a running gateway loads its configuration again.

Rule: the gateway reads its own file with its own environment; this only asks, and shows the answer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from gatemill.cli.chat import DEFAULT_URL, _dev_key
from gatemill.cli.failure import Failure, Invalid
from gatemill.cli.terminal import environment, print_text

TIMEOUT_S = 60.0  # it may ask model servers on its machine
ANSWER_BYTES_MAX = 4 << 20

UrlOption = Annotated[
    str | None, typer.Option(help=f"The gateway; by default {DEFAULT_URL}.", metavar="URL")
]
KeyOption = Annotated[
    str | None, typer.Option(help="Admin key; by default $GATEMILL_API_KEY or dev.key.")
]


def reload(
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: Annotated[Path, typer.Option(help="Folder with dev.key.")] = Path("data"),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would change.")
    ] = False,
) -> None:
    """Load the configuration of a running gateway again."""
    show(asked(url, key, data_dir, dry_run=dry_run))


def asked(url: str | None, key: str | None, data_dir: Path, *, dry_run: bool) -> dict[str, Any]:
    """What the gateway says to a reload. Raises Invalid with its errors, or Failure."""
    environ = environment()
    url = url or environ.get("GATEMILL_URL") or DEFAULT_URL
    key = key or environ.get("GATEMILL_API_KEY") or _dev_key(data_dir)
    path = "/api/v1/config/reload" + ("?dry_run" if dry_run else "")
    status, said = _post(url, path, key)
    if status == 200 and "outcome" in said:
        return said
    first, *mistakes = str(said.get("detail", f"the gateway answered {status}")).splitlines()
    if mistakes:
        raise _refused(mistakes)
    fixes = {
        401: "--key, or GATEMILL_API_KEY, or --data-dir of the gateway's dev.key",
        403: "--key with an admin key; gatemill keys create NAME --admin makes one",
    }
    raise Failure(first, fix=fixes.get(status, "check --url"))


def show(said: dict[str, Any]) -> None:
    """The answer to a reload, for people."""
    for line in said["changes"]:
        print_text(line)
    if said["needs_restart"]:
        print_text("Not applied, because it takes a restart:")
        for line in said["needs_restart"]:
            print_text(f"  {line}")
    processes = "" if said["workers"] == 1 else f", {said['workers']} processes"
    count = len(said["changes"])
    changes = "nothing changes" if not count else f"{count} change{'' if count == 1 else 's'}"
    state = "would be reloaded" if said["dry_run"] else "in effect"
    print_text(f"{changes}, version {said['version']} {state}{processes}")


def _refused(mistakes: list[str]) -> Invalid:
    invalid = Invalid(mistakes)
    invalid.message += "; the old one stays in effect"
    invalid.code = 1
    return invalid


def _post(url: str, path: str, key: str) -> tuple[int, dict[str, Any]]:
    from http.client import HTTPConnection, HTTPException, HTTPSConnection

    import msgspec

    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Failure(f"{url} is not a URL", fix=f"--url {DEFAULT_URL}", code=2)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=TIMEOUT_S)
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        connection.request("POST", parts.path.rstrip("/").removesuffix("/v1") + path, b"", headers)
        answer = connection.getresponse()
        body = answer.read(ANSWER_BYTES_MAX)
    except (OSError, HTTPException) as error:
        fix = "gatemill serve, or name another gateway with --url"
        raise Failure(f"no gateway answers at {url}", fix=fix) from error
    finally:
        connection.close()
    try:
        said = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise Failure(f"{url} is no Gatemill", fix="check --url") from error
    return answer.status, said if isinstance(said, dict) else {}

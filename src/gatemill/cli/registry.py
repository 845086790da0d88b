"""`gatemill models`: names, versions and aliases. Rule: asks a running gateway, which loads before it switches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, urlencode

import typer

from gatemill.cli import registry_shown
from gatemill.cli.asking import asked, pages, told
from gatemill.cli.failure import Failure
from gatemill.cli.gateway_options import DATA, Data, Key, Limit, Url
from gatemill.cli.ledger_access import AsJson
from gatemill.cli.terminal import note, print_json, print_text

if TYPE_CHECKING:
    from gatemill.cli.asking import Where

MODELS = "/v1/models"
EXAMPLES_BYTES_MAX = 32 << 20
Name = Annotated[str, typer.Argument(metavar="NAME", help="A name of the registry.")]
Alias = Annotated[str, typer.Argument(metavar="ALIAS", help="Such as production.")]
Reason = Annotated[str, typer.Option("--reason", "-m", help="Why, for whoever asks later.")]
IfCurrent = Annotated[
    int | None,
    typer.Option(
        help="Refuse unless the alias points to this version now; 0: unless there is none."
    ),
]


def add(app: typer.Typer) -> None:
    """The commands stand beside those that `app` has."""
    for name, command in (
        ("create", create),
        ("add-version", add_version),
        ("versions", versions),
        ("archive", archive),
        ("alias", alias),
        ("rollback", rollback),
        ("events", events),
        ("rm", delete),
    ):
        app.command(name)(command)
    app.command("delete", hidden=True)(delete)


def path(name: str, *more: str) -> str:
    """Where the gateway keeps a name."""
    return "/".join((MODELS, quote(name, safe=""), *(quote(each, safe="") for each in more)))


def create(
    name: Name,
    task: Annotated[str, typer.Option(help="generate, embed, classify or rerank.")],
    description: Annotated[str, typer.Option(help="For people.")] = "",
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Make a name for a model of your own. It answers once it has a version."""
    asks = {"name": name, "kind": "model", "task": task, "description": description}
    said = told((url, key, data_dir), "POST", MODELS, asks)
    if as_json:
        print_json(said)
    else:
        note(f"{name} is there. Next: gatemill models add-version {name} SOURCE")


def add_version(
    name: Name,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="builtin:…, file:/…, hf:…@COMMIT, mlflow:…, PROVIDER:MODEL."
        ),
    ] = "",
    examples: Annotated[
        Path | None,
        typer.Option(help='Train a classifier from a file with lines of {"text": …, "label": …}.'),
    ] = None,
    embedding_model: Annotated[
        str, typer.Option(help="Whose vectors that takes; builtin/hash-512 by default.")
    ] = "",
    sha256: Annotated[str, typer.Option(help="Of the manifest; other files are refused.")] = "",
    card: Annotated[
        Path | None, typer.Option(help="Markdown file that tells of the version.")
    ] = None,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Add a version from a source, or train one. Prints its name."""
    where = (url, key, data_dir)
    asks: dict[str, Any] = {}
    if source:
        asks["source"] = source
    if examples is not None:
        asks["examples"] = _examples(examples)
    if embedding_model:
        asks["embedding_model"] = embedding_model
    if sha256:
        asks["sha256"] = sha256
    if card is not None:
        asks["card"] = text_of(card)
    said = told(where, "POST", path(name, "versions"), asks)
    if said["object"] == "job":
        said = _trained(where, said["id"])
    if as_json:
        print_json(said)
    else:
        print_text(said["id"])


def versions(
    name: Name,
    limit: Limit = 20,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """List the versions of a model or a prompt, the newest first."""
    where = (url, key, data_dir)
    found = pages(where, path(name, "versions"), {}, limit)
    if as_json:
        print_json(found)
    else:
        registry_shown.versions(found, asked(where, "GET", path(name)))


def archive(
    name: Name,
    version: Annotated[int, typer.Argument(metavar="VERSION", help="Its number.")],
    reason: Reason,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
) -> None:
    """Stop serving a version that no alias points to."""
    query = urlencode({"reason": reason})
    asked((url, key, data_dir), "DELETE", f"{path(name, 'versions', str(version))}?{query}")
    note(f"{name}:{version} is archived.")


def alias(
    name: Name,
    alias: Alias,
    version: Annotated[int, typer.Argument(metavar="VERSION", help="Its number.")],
    reason: Reason,
    if_current: IfCurrent = None,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Move an alias; the version is loaded and asked first."""
    asks: dict[str, Any] = {"version": version, "reason": reason}
    if if_current is not None:
        asks["if_current"] = if_current
    said = told((url, key, data_dir), "PUT", path(name, "aliases", alias), asks)
    registry_shown.moved(said, as_json=as_json)


def rollback(
    name: Name,
    alias: Alias,
    reason: Reason,
    if_current: IfCurrent = None,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """Move an alias back to the version that it meant before."""
    asks: dict[str, Any] = {"reason": reason}
    if if_current is not None:
        asks["if_current"] = if_current
    said = told((url, key, data_dir), "POST", path(name, "aliases", alias, "rollback"), asks)
    registry_shown.moved(said, as_json=as_json)


def events(
    name: Name,
    limit: Limit = 20,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
    as_json: AsJson = False,
) -> None:
    """List who moved an alias, when and why; the newest first."""
    found = pages((url, key, data_dir), path(name, "events"), {}, limit)
    if as_json:
        print_json(found)
    else:
        registry_shown.events(found)


def delete(
    name: Name,
    reason: Reason,
    url: Url = None,
    key: Key = None,
    data_dir: Data = DATA,
) -> None:
    """Delete a name with its aliases. Its versions are no longer served."""
    asked((url, key, data_dir), "DELETE", f"{path(name)}?{urlencode({'reason': reason})}")
    note(f"{name} is gone.")


def text_of(file: Path) -> str:
    """What a file says. Raises Failure."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise Failure(f"{file} cannot be read: {why}", fix="name a text file in UTF-8") from error


def _examples(file: Path) -> list[Any]:
    import msgspec

    text = text_of(file)
    if len(text) > EXAMPLES_BYTES_MAX:
        raise Failure(f"{file} is too long", fix="send at most 10,000 examples")
    try:
        return [msgspec.json.decode(line) for line in text.splitlines() if line.strip()]
    except msgspec.DecodeError as error:
        raise Failure(
            f"{file}: {error}", fix='write a line {"text": "...", "label": "..."} for each', code=2
        ) from error


def _trained(where: Where, job_id: str) -> dict[str, Any]:
    """The version that a job has made. Raises Failure."""
    from gatemill.cli import watching

    job = watching.watch(where, job_id, streams=False)
    if job["state"] != "succeeded":
        reason = (job["error"] or {}).get("message") or job["state"]
        raise Failure(f"training failed: {reason}", fix=f"gatemill jobs show {job_id}")
    made: dict[str, Any] = job["result"]
    metrics = made["metrics"]
    note(
        f"{metrics['accuracy']:.1%} right (±{metrics['accuracy_margin']:.1%}) on examples held out;"
        f" always the commonest label: {metrics['always_the_commonest']:.1%}."
    )
    return asked(where, "GET", path(made["model"], "versions", str(made["version"])))

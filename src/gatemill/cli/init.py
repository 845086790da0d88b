"""`gatemill init`: a commented configuration to start from. Rule: a file that exists is never touched."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gatemill.cli.failure import Failure
from gatemill.cli.terminal import print_text

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_FILES = {"gatemill.toml": "starter.toml", ".env.example": "starter.env"}
# What belongs to each way of running it: files and folders of deploy/.
_WAYS = {
    "compose": (
        *("compose.yml", "compose.gatemill.toml", ".env.example", "otel-collector.yml"),
        *("prometheus", "grafana"),
    ),
    "systemd": ("systemd", "nginx.conf", "Caddyfile"),
    "k8s": ("k8s",),
}
_NEXT = {
    "compose": (
        "cd {deploy}; cp .env.example .env, and put passwords into it",
        "build the image in a clone: docker build -f deploy/Dockerfile -t gatemill:0.1.0 .",
        "docker compose run --rm gatemill keys create ops --admin, then docker compose up -d",
    ),
    "systemd": (
        "copy gatemill.toml to /etc/gatemill, and {deploy}/systemd/*.service to /etc/systemd/system",
        "systemctl daemon-reload; systemctl enable --now gatemill",
        "put {deploy}/nginx.conf or {deploy}/Caddyfile before it",
    ),
    "k8s": (
        "make both secrets of {deploy}/k8s/secret.example.yaml",
        "kubectl apply -k {deploy}/k8s",
        "kubectl -n gatemill exec deploy/gatemill-worker -- gatemill keys create ops --admin",
    ),
}


def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to write.")] = Path(),
    deployed: Annotated[
        str | None,
        typer.Option(
            "--with",
            help="Files to run it with, with commas between: compose, systemd, k8s; below deploy/.",
        ),
    ] = None,
) -> None:
    """Write a commented gatemill.toml, and what it is run with."""
    ways = _ways(deployed or "")
    data = files("gatemill").joinpath("data")
    for name, source in _FILES.items():
        _write(folder / name, data.joinpath(source))
    for way in ways:
        for name in _WAYS[way]:
            for target, found in _below(folder / "deploy" / name, _shipped(data).joinpath(name)):
                _write(target, found)
    at = "" if folder == Path() else f"cd {folder}; "
    print_text("next:")
    print_text(f"  1. {at}cp .env.example .env, and put your keys into it")
    print_text("  2. set -a; . ./.env; set +a; gatemill check --live")
    print_text("  3. gatemill serve")
    for way in ways:
        print_text(f"with {way}, see docs/guides/deploy.md:")
        for number, step in enumerate(_NEXT[way], start=1):
            print_text(f"  {number}. {step.format(deploy=folder / 'deploy')}")


def _ways(words: str) -> list[str]:
    found = list(dict.fromkeys(word.strip() for word in words.split(",") if word.strip()))
    unknown = [word for word in found if word not in _WAYS]
    if unknown:
        raise Failure(
            f"there is nothing to run it with {unknown[0]!r}",
            fix=f"--with {','.join(_WAYS)}",
            code=2,
        )
    return found


def _shipped(data: Traversable) -> Traversable:
    """The folder deploy/: in the wheel below data/, in a clone at its root."""
    inside = data.joinpath("deploy")
    return inside if inside.is_dir() else Path(str(data)).parents[2] / "deploy"


def _below(target: Path, source: Traversable) -> Iterator[tuple[Path, Traversable]]:
    """Every file of a file or a folder, and where it goes."""
    if not source.is_dir():
        yield target, source
        return
    for one in sorted(source.iterdir(), key=lambda found: found.name):
        yield from _below(target / one.name, one)


def _write(target: Path, source: Traversable) -> None:
    text = source.read_text(encoding="utf-8")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        # The file itself, or one where its folder should be.
        if not target.exists():
            raise _unable(target, "there is a file where its folder should be") from None
        print_text(f"kept   {target}, which exists")
    except OSError as error:
        raise _unable(target, error.strerror or type(error).__name__) from error
    else:
        print_text(f"wrote  {target}")


def _unable(target: Path, reason: str) -> Failure:
    return Failure(f"cannot write {target}: {reason}", fix="gatemill init FOLDER")

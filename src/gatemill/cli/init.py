"""`gatemill init`: a commented configuration to start from. Rule: a file that exists is never touched."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from gatemill.cli.failure import Failure
from gatemill.cli.terminal import print_text

_FILES = {"gatemill.toml": "starter.toml", ".env.example": "starter.env"}


def init(
    folder: Annotated[Path, typer.Argument(help="Where to write.")] = Path(),
) -> None:
    """Write a commented gatemill.toml and .env.example."""
    for name, source in _FILES.items():
        target = folder / name
        text = files("gatemill").joinpath("data", source).read_text(encoding="utf-8")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with target.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            print_text(f"kept   {target}, which exists")
        except OSError as error:
            raise Failure(
                f"cannot write {target}: {error.strerror}", fix="gatemill init FOLDER"
            ) from error
        else:
            print_text(f"wrote  {target}")
    at = "" if folder == Path() else f"cd {folder}; "
    print_text("next:")
    print_text(f"  1. {at}cp .env.example .env, and put your keys into it")
    print_text("  2. set -a; . ./.env; set +a; gatemill check --live")
    print_text("  3. gatemill serve")

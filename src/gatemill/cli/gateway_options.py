"""Options of commands that ask a running gateway. Rule: one name means one thing in all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_URL = "http://127.0.0.1:8700"
DATA = Path("data")

Url = Annotated[
    str | None, typer.Option(help=f"The gateway; by default {DEFAULT_URL}.", metavar="URL")
]
Key = Annotated[str | None, typer.Option(help="Key; by default $GATEMILL_API_KEY or dev.key.")]
Data = Annotated[Path, typer.Option(help="Folder with dev.key.", envvar="GATEMILL_DATA_DIR")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")]
Kind = Annotated[str, typer.Option(help="Only this kind.")]
Metadata = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="A note of yours; repeatable.")
]

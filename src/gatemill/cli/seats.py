"""A worker's seat, said to another program: `gatemill serve --seat`, which the supervisor of workers runs.

Rule: what is handed over is numbers of open sockets and what the sockets were bound by; no secret.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gatemill.edge.workers import Seat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatemill.settings.source import Draft, Source


class _Said(Struct):
    """All that a seat is; sockets by their file descriptors."""

    number: int
    line: int
    sockets: list[int]
    admin: list[int]
    rolls: bool
    flags: dict[str, Any]  # of the settings, by path
    folder: str = ""  # of the workers' numbers


def command(draft: Draft, source: Source, seat: Seat) -> list[str]:
    """What the process of a worker runs to begin anew. Its sockets stay open for that program."""
    for one in (seat.line, *seat.sockets):
        one.set_inheritable(True)
    said = _Said(
        seat.number,
        seat.line.fileno(),
        [one.fileno() for one in seat.sockets],
        [one.fileno() for one in seat.admin],
        seat.rolls,
        _kept(draft, source.flags),
        "" if seat.folder is None else str(seat.folder),
    )
    words = [sys.executable, "-m", "gatemill", "serve"]
    if source.config is not None:
        words += ["--config", str(source.config)]
    return [*words, "--seat", msgspec.json.encode(said).decode()]


def taken(text: str) -> tuple[Seat, dict[str, Any]]:
    """The seat, and the flags of the settings. Raises msgspec.DecodeError for what is none."""
    said = msgspec.json.decode(text, type=_Said)
    sockets = {number: _adopted(number) for number in said.sockets}
    seat = Seat(said.number, tuple(sockets.values()), _adopted(said.line))
    seat.admin = frozenset(sockets[number] for number in said.admin)
    seat.rolls = said.rolls
    seat.folder = Path(said.folder) if said.folder else None
    return seat, said.flags


def _adopted(number: int) -> socket.socket:
    found = socket.socket(fileno=number)
    found.set_inheritable(False)
    found.settimeout(None)
    return found


def _kept(draft: Draft, flags: Mapping[str, Any]) -> dict[str, Any]:
    # The sockets and the number of workers are the supervisor's: only its own restart changes them. All
    # workers keep their journals in one folder, and find there what took effect last.
    server = draft.loaded.settings.server
    bound = {
        "server.host": server.host,
        "server.port": server.port,
        "server.admin_host": server.admin_host,
        "server.admin_port": server.admin_port,
        "server.workers": server.workers,
        "server.data_dir": server.data_dir,
    }
    return {name: value for name, value in {**flags, **bound}.items() if value is not None}

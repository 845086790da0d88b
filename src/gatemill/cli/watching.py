"""A job followed to its end on a terminal.

Rule: only what the job says goes to standard output; all about it goes beside.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from gatemill.cli.asking import asked
from gatemill.cli.bar import Bar
from gatemill.cli.following import FINAL, follow
from gatemill.cli.jobs_shown import ending, state
from gatemill.cli.terminal import note

if TYPE_CHECKING:
    from gatemill.cli.asking import Where

AWAY_S_MAX = 60.0  # for a gateway that is started again
_TEXT_DELTA = "response.output_text.delta"  # of the Responses API


def watch(where: Where, job_id: str, *, streams: bool = True) -> dict[str, Any]:
    """The job as it ended. Its text is printed as it comes, if `streams`. Raises Failure."""
    path = f"/v1/jobs/{quote(job_id, safe='')}"
    try:
        _show(where, f"{path}/events", streams=streams)
    except KeyboardInterrupt:
        note(f"\nit goes on without you: gatemill jobs watch {job_id}")
        raise
    job = asked(where, "GET", path)
    note(ending(job))
    return job


def _show(where: Where, path: str, *, streams: bool) -> None:
    written = ""
    told = ""
    with Bar() as bar:
        for said in follow(where, path, AWAY_S_MAX):
            if said.name == "progress":
                value = said.value
                bar.show(value["current"], value["total"], value["note"])
            elif said.name == "state":
                now = _state(said.value)
                if now != told and said.value["state"] not in FINAL:
                    note(now)
                told = now
            elif streams and (piece := _text(said.value)):
                bar.close()
                sys.stdout.write(piece)
                sys.stdout.flush()
                written = piece
    if written and not written.endswith("\n"):
        sys.stdout.write("\n")
        sys.stdout.flush()  # before what is noted beside it


def _state(job: dict[str, Any]) -> str:
    """Its state, and why it is tried again."""
    text = state(job)
    if job["attempt"] > 1:
        text += f", attempt {job['attempt']} of {job['attempts_max']}"
    return f"{text}: {job['error']['message']}" if job["error"] else text


def _text(event: dict[str, Any]) -> str:
    """The text in an event of a streamed answer."""
    if event.get("type") == _TEXT_DELTA:
        return str(event.get("delta", ""))
    choices = event.get("choices") or ()
    return "".join(choice.get("delta", {}).get("content") or "" for choice in choices)

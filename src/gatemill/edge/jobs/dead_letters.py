"""/v1/dead_letters: jobs that have failed for good. Rule: looking changes nothing; what is meant is counted first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Raw, Struct
from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.core.errors import MissingParameter
from gatemill.edge.admin.bodies import Asked
from gatemill.edge.jobs.counter import priority
from gatemill.edge.jobs.jobs import MOMENTS, moments
from gatemill.jobs import shown
from gatemill.jobs.desk import MANY_MAX, Many
from gatemill.jobs.submission import Word
from gatemill.ledger.jobs.rows import Filter
from gatemill.wire.moments import moment_s

if TYPE_CHECKING:
    from gatemill.core.ports import Json
    from gatemill.edge.application import Application
    from gatemill.edge.jobs.counter import Counter

PATH = "/v1/dead_letters"
_ONE = PATH + "/{job_id}"
_FILTERS = ("kind", "queue", "error")


class _Replay(Struct):
    args: Raw = Raw()  # none are none
    priority: Word | None = None


class _Which(Struct, forbid_unknown_fields=True):
    kind: str = ""
    queue: str = ""
    error: str = ""
    created_after: float | str = ""
    created_before: float | str = ""


class _ReplayMany(Struct):
    ids: Annotated[list[str], Meta(min_length=1, max_length=MANY_MAX)] | None = None
    filter: _Which | None = None
    dry_run: bool = False
    priority: Word | None = None


def add(app: Application, counter: Counter) -> None:
    """The routes."""
    _add_reading(app, counter)
    _add_replaying(app, counter)
    _add_purging(app, counter)


def _add_reading(app: Application, counter: Counter) -> None:
    clerk = counter.clerk

    async def listed(request: Request) -> Response:
        key = counter.caller(request)
        asked = Asked(request, "limit", "after", *_FILTERS, *MOMENTS)
        return await counter.listing(key, asked, _wanted(asked, clerk.now_s))

    async def one(request: Request, job_id: str) -> Response:
        key = counter.caller(request)
        return clerk.answer(await counter.desk.letter(key, job_id))

    app.add_api_route(PATH, listed, methods=["GET"], **describe.route("dead_letters"))
    app.add_api_route(_ONE, one, methods=["GET"], **describe.route("dead_letter"))


def _add_replaying(app: Application, counter: Counter) -> None:
    clerk = counter.clerk

    async def replay(request: Request, job_id: str) -> Response:
        key = counter.caller(request)
        said = await counter.read(request, _Replay)
        args = bytes(said.args) or None
        job = await counter.desk.replay(key, job_id, args, priority(said.priority))
        return clerk.answer(shown.job(job))

    async def many(request: Request) -> Response:
        key = counter.caller(request)
        said = await counter.read(request, _ReplayMany)
        if (said.ids is None) == (said.filter is None):
            raise MissingParameter(
                "Send either `ids` or `filter`; an empty filter means all dead letters.",
                param="ids",
            )
        desk = counter.desk
        if said.ids is not None:
            meant = Many(tuple(dict.fromkeys(said.ids)), 0, has_more=False)
        else:
            meant = await desk.dead(key, _filter(said.filter or _Which(), clerk.now_s))
        if not said.dry_run:
            meant = await desk.replay_many(key, meant, priority(said.priority))
        return clerk.answer(_told("replay", meant, dry_run=said.dry_run))

    app.add_api_route(
        PATH + "/replay", many, methods=["POST"], **describe.route("dead_letters_replay")
    )
    app.add_api_route(
        _ONE + "/replay", replay, methods=["POST"], **describe.route("dead_letter_replay")
    )


def _add_purging(app: Application, counter: Counter) -> None:
    clerk = counter.clerk

    async def purge(request: Request, job_id: str) -> Response:
        key = counter.caller(request)
        await counter.desk.purge(key, job_id)
        return clerk.answer({"object": "job", "id": job_id, "deleted": True})

    async def many(request: Request) -> Response:
        key = counter.caller(request)
        asked = Asked(request, "confirm", *_FILTERS, *MOMENTS)
        is_sure = asked.word("confirm", "false", "true") == "true"
        meant = await counter.desk.dead(key, _wanted(asked, clerk.now_s))
        if is_sure:
            meant = await counter.desk.purge_many(key, meant)
        return clerk.answer(_told("purge", meant, dry_run=not is_sure))

    app.add_api_route(_ONE, purge, methods=["DELETE"], **describe.route("dead_letter_purge"))
    app.add_api_route(PATH, many, methods=["DELETE"], **describe.route("dead_letters_purge"))


def _wanted(asked: Asked, now_s: float) -> Filter:
    named: dict[str, Any] = {name: asked.text(name) for name in _FILTERS}
    return Filter(state="dead", **named, **moments(asked, now_s))


def _filter(which: _Which, now_s: float) -> Filter:
    named: dict[str, Any] = {name: getattr(which, name) for name in _FILTERS}
    times: dict[str, Any] = {
        f"{name}_s": moment_s(str(text), now_s, f"filter.{name}")
        for name in MOMENTS
        if (text := getattr(which, name))
    }
    return Filter(state="dead", **named, **times)


def _told(what: str, meant: Many, *, dry_run: bool) -> Json:
    return {
        "object": what,
        "dry_run": dry_run,
        "matched": len(meant.ids),
        "done": meant.done,
        "has_more": meant.has_more,
        "ids": list(meant.ids),
    }

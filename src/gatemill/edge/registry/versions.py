"""/v1/models/{name}/versions: add, list, look, archive. Rule: 201 is a version, 202 a job that makes one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.core.errors import InvalidValue, MissingParameter, NotFound
from gatemill.edge.admin.bodies import Asked
from gatemill.edge.registry import cards
from gatemill.edge.registry.names import ONE, PAGE, PAGE_MAX
from gatemill.jobs import shown
from gatemill.jobs.kinds import train_head
from gatemill.jobs.submission import Submission
from gatemill.ledger.registry_rows import NewVersion
from gatemill.wire import fields

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.core.call import Key
    from gatemill.edge.application import Application
    from gatemill.edge.jobs.counter import Counter
    from gatemill.registry.desk import Desk

VERSIONS = ONE + "/versions"
VERSION = VERSIONS + "/{version}"
_KINDS = ("source", "examples", "template")


class _New(Struct):
    source: str | UnsetType = UNSET
    examples: Raw | UnsetType = UNSET
    template: Any | UnsetType = UNSET
    engine: str = ""
    sha256: str = ""
    options: dict[str, Any] = {}
    params: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    card: str = ""
    variables: dict[str, Any] | None = None  # of a template
    embedding_model: str | UnsetType = UNSET  # of examples
    l2: float | UnsetType = UNSET


# Fields that go with one of the three only.
_ONLY = {
    "engine": "source",
    "sha256": "source",
    "options": "source",
    "variables": "template",
    "embedding_model": "examples",
    "l2": "examples",
}
_args = msgspec.json.Decoder(train_head.Args)


def add(app: Application, counter: Counter, desk: Callable[[], Desk]) -> None:
    """The routes."""
    clerk = counter.clerk

    async def make(request: Request, name: str) -> Response:
        admin = clerk.caller(request)
        said = await counter.read(request, _New)
        _check(said)
        if not isinstance(said.examples, UnsetType):
            return await _train(counter, desk(), request, (admin, name, said))
        new = NewVersion(
            source="" if isinstance(said.source, UnsetType) else said.source,
            engine=said.engine,
            sha256=said.sha256,
            options=said.options,
            params=said.params,
            metrics=said.metrics,
            card=said.card,
        )
        if said.template is UNSET:
            made = await desk().add(name, new, admin.id)
        else:
            made = await desk().add_prompt(name, (said.template, said.variables), new, admin.id)
        model = desk().entry(name).model
        return clerk.answer(cards.version(model.kind, model.task, made), 201)

    async def listed(request: Request, name: str) -> Response:
        asked = Asked(request, "limit", "after")
        limit = asked.whole("limit", PAGE, PAGE_MAX) or PAGE
        before = _number(asked.text("after"))
        model = await desk().rows.get(name)
        found = await desk().rows.versions(name, limit + 1, before)
        told = [cards.version(model.kind, model.task, each) for each in found]
        return clerk.listing(told, limit)

    async def one(request: Request, name: str, version: str) -> Response:
        model = await desk().rows.get(name)
        found = await desk().rows.version(name, number_of(version))
        return clerk.answer(cards.version(model.kind, model.task, found))

    async def archive(request: Request, name: str, version: str) -> Response:
        admin = clerk.caller(request)
        reason = Asked(request, "reason").text("reason")
        found = await desk().archive(name, number_of(version), reason, admin.id)
        model = await desk().rows.get(name)
        return clerk.answer(cards.version(model.kind, model.task, found))

    app.add_api_route(VERSIONS, make, methods=["POST"], **describe.route("versions_create"))
    app.add_api_route(VERSIONS, listed, methods=["GET"], **describe.route("versions"))
    app.add_api_route(VERSION, one, methods=["GET"], **describe.route("version"))
    app.add_api_route(VERSION, archive, methods=["DELETE"], **describe.route("versions_archive"))


async def _train(
    counter: Counter, desk: Desk, request: Request, what: tuple[Key, str, _New]
) -> Response:
    """The job that trains a head is accepted; refused is what it could never do."""
    admin, name, said = what
    await desk.check_head(name)
    given: dict[str, Any] = {"name": name, "examples": said.examples, "card": said.card}
    more: dict[str, Any] = {"embedding_model": said.embedding_model, "l2": said.l2}
    given |= {field: value for field, value in more.items() if value is not UNSET}
    args = fields.encode(given)
    train_head.check(fields.decode_head(_args, args), admin, counter.clerk.gateway)
    sender = counter.sender(request, admin, args)
    submission = Submission(kind=train_head.NAME, args=Raw(args))
    accepted = (await counter.desk.accept(sender, [submission]))[0]
    answer = counter.clerk.answer(shown.job(accepted.job), 202)
    answer.headers["location"] = f"/v1/jobs/{accepted.job.id}"
    return answer


def number_of(version: str) -> int:
    """The number in a path. Raises NotFound for what is none."""
    if not (version.isascii() and version.isdigit() and len(version) < 10):
        raise NotFound(
            "A version is named by its number. GET /v1/models/NAME/versions lists them.",
            param="version",
        )
    return int(version)


def _number(after: str) -> int | None:
    """The number of "sentiment:3", or of "3". Raises InvalidValue."""
    digits = after.rpartition(":")[2]
    if after and not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        raise InvalidValue("`after`: send the id of a version.", param="after")
    return int(digits) if digits else None


def _check(said: _New) -> None:
    """One of the three is there, and what belongs to it alone. Raises InvalidRequest and its kinds."""
    given = [name for name in _KINDS if getattr(said, name) is not UNSET]
    if not given:
        raise MissingParameter(
            "`source`: is required, or `examples` to train a head, or `template` for a prompt.",
            param="source",
        )
    if len(given) > 1:
        raise InvalidValue(
            f"`{given[1]}`: send one of {', '.join(_KINDS)}, not several.", param=given[1]
        )
    defaults = _New()
    for name, owner in _ONLY.items():
        if given[0] != owner and getattr(said, name) != getattr(defaults, name):
            raise InvalidValue(f"`{name}`: goes with `{owner}`. Leave it out.", param=name)

"""/v1/files: what callers upload, and what batches make. Rule: bytes go to the ledger as they come."""

from __future__ import annotations

from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from gatemill import describe
from gatemill.core.errors import (
    ClientGone,
    InvalidValue,
    MissingParameter,
    NotFound,
    RequestTooLarge,
)
from gatemill.core.job import owner_of
from gatemill.edge.admin.bodies import Asked
from gatemill.edge.admin.clerk import Clerk
from gatemill.edge.deferred import desk_of
from gatemill.edge.form import FILE, Form
from gatemill.jobs.batching.desk import KEEP_S
from gatemill.ledger.files import Label, gone

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from gatemill.edge.application import Application
    from gatemill.edge.shown import Shown
    from gatemill.jobs.services import Services
    from gatemill.ledger.files import Draft, File

PATH = "/v1/files"
PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
LIST_MAX = 10_000
_ANCHOR, _SECONDS = "expires_after[anchor]", "expires_after[seconds]"
_ONE = PATH + "/{file_id}"
_NAME_CHARS_MAX = 255
_NOT_IN_NAMES = str.maketrans(dict.fromkeys([*range(32), *range(127, 160)], " "))


def add(app: Application, shown: Shown) -> None:
    """The routes."""
    clerk = Clerk(shown)
    _add_changing(app, clerk, shown)
    _add_reading(app, clerk)


def _add_changing(app: Application, clerk: Clerk, shown: Shown) -> None:
    async def create(request: Request) -> Response:
        owner = owner_of(clerk.caller(request))
        services = desk_of(shown.door).services
        headers = request.headers
        form = Form(
            headers.get("content-type", ""),
            headers.get("content-encoding", ""),
            ("purpose", _ANCHOR, _SECONDS),
        )
        return clerk.answer(told(await _upload(request, form, services, owner)))

    async def delete(request: Request, file_id: str) -> Response:
        owner = owner_of(clerk.caller(request))
        try:
            await clerk.ledger.files.delete(file_id, owner)
        except NotFound:  # a first request may have broken off between the two
            await clerk.ledger.knowledge.forget_file(file_id, owner)
            raise
        await clerk.ledger.knowledge.forget_file(file_id, owner)
        return clerk.answer({"id": file_id, "object": "file", "deleted": True})

    app.add_api_route(PATH, create, methods=["POST"], **describe.route("files_create"))
    app.add_api_route(_ONE, delete, methods=["DELETE"], **describe.route("files_delete"))


def _add_reading(app: Application, clerk: Clerk) -> None:
    async def listed(request: Request) -> Response:
        owner = owner_of(clerk.caller(request))
        asked = Asked(request, "purpose", "limit", "after", "order")
        limit = asked.limit(LIST_MAX)
        purpose = asked.word("purpose", "", *PURPOSES, "batch_output")
        found = await clerk.ledger.files.listed(
            owner,
            purpose,
            limit + 1,
            asked.text("after"),
            oldest_first=asked.word("order", "desc", "asc") == "asc",
        )
        return clerk.answer(page([told(file) for file in found], limit))

    async def one(request: Request, file_id: str) -> Response:
        owner = owner_of(clerk.caller(request))
        return clerk.answer(told(await clerk.ledger.files.get(file_id, owner)))

    async def content(request: Request, file_id: str) -> Response:
        owner = owner_of(clerk.caller(request))
        file = await clerk.ledger.files.get(file_id, owner)
        pieces = clerk.ledger.files.content(file.id)
        first = await anext(pieces, b"")
        if file.bytes and not first:  # deleted between the two looks
            raise gone()
        gateway = clerk.gateway
        headers = {
            "x-request-id": gateway.new_id(gateway.clock.unix_s()),
            "content-length": str(file.bytes),
            "content-disposition": f"attachment; filename*=utf-8''{quote(file.filename)}",
            "x-content-type-options": "nosniff",
        }
        return StreamingResponse(_rest(first, pieces), 200, headers, "application/octet-stream")

    app.add_api_route(PATH, listed, methods=["GET"], **describe.route("files"))
    app.add_api_route(_ONE, one, methods=["GET"], **describe.route("file"))
    app.add_api_route(_ONE + "/content", content, methods=["GET"], **describe.route("file_content"))


def told(file: File) -> dict[str, Any]:
    """A file as OpenAI's API tells it."""
    said = {
        "id": file.id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": int(file.created_at),
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
    }
    return said if file.expires_at is None else {**said, "expires_at": int(file.expires_at)}


def page(data: Sequence[dict[str, Any]], limit: int) -> dict[str, Any]:
    """A list as OpenAI's API tells it; `data` may hold one more, which says that there is more."""
    shown = list(data[:limit])
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else "",
        "last_id": shown[-1]["id"] if shown else "",
        "has_more": len(data) > limit,
    }


async def _rest(first: bytes, pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """All pieces, the first of which was taken already."""
    async with aclosing(pieces):
        yield first
        async for piece in pieces:
            yield piece


async def _upload(request: Request, form: Form, services: Services, owner: str) -> File:
    """The file, complete. Whatever goes wrong leaves nothing behind."""
    files, amounts = services.ledger.files, services.amounts
    file_id = f"file-{services.new_id().removeprefix('job_')}"
    async with AsyncExitStack() as undoing:
        draft = await files.begin(file_id, owner, amounts.file_bytes_max_per_owner)
        undoing.push_async_callback(files.abandon, file_id)
        try:
            await _take(request, form, draft, amounts.file_bytes_max)
        except ClientDisconnect:
            raise ClientGone("The caller hung up.") from None
        file = await files.finish(draft, _label(form, amounts.file_keep_s))
        undoing.pop_all()
    return file


async def _take(request: Request, form: Form, draft: Draft, bytes_max: int) -> None:
    async for piece in request.stream():
        data = form.feed(piece)
        if draft.bytes + len(data) > bytes_max:
            raise RequestTooLarge(
                f"The file has more than {bytes_max} bytes. Split it.", param=FILE
            )
        await draft.write(data)
    form.close()


def _label(form: Form, keep_s: float) -> Label:
    if form.filename is None:
        raise MissingParameter("`file`: is required. Send the file.", param=FILE)
    purpose = form.fields.get("purpose")
    if purpose is None:
        raise MissingParameter(
            f"`purpose`: is required. Send one of {', '.join(PURPOSES)}.", param="purpose"
        )
    if purpose not in PURPOSES:
        raise InvalidValue(f"`purpose`: send one of {', '.join(PURPOSES)}.", param="purpose")
    return Label(purpose, _name(form.filename), _keep_s(form, keep_s))


def _name(filename: str) -> str:
    """The last part of a path, in one line."""
    name = filename.replace("\\", "/").rpartition("/")[2].translate(_NOT_IN_NAMES).strip()
    return name[-_NAME_CHARS_MAX:] or "upload"


def _keep_s(form: Form, keep_s: float) -> float:
    anchor, seconds = form.fields.get(_ANCHOR), form.fields.get(_SECONDS)
    if anchor is None and seconds is None:
        return keep_s
    if anchor != "created_at":
        raise InvalidValue(f"`{_ANCHOR}`: send created_at.", param="expires_after.anchor")
    least, most = KEEP_S
    text = seconds or ""
    if not (text.isascii() and text.isdigit() and len(text) < 19 and least <= int(text) <= most):
        raise InvalidValue(
            f"`{_SECONDS}`: send a whole number from {least} to {most}.",
            param="expires_after.seconds",
        )
    return float(text)

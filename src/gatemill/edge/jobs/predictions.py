"""POST /v1/predict/batch: many texts, classified as a job. Rule: another way to the desk of jobs; nothing runs here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct
from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.core.errors import GatemillError, InvalidArguments, InvalidValue
from gatemill.core.job import owner_of
from gatemill.edge.jobs.jobs import PATH as JOBS
from gatemill.jobs import shown
from gatemill.jobs.items import check_size
from gatemill.jobs.submission import Metadata, Submission, Word, check_names
from gatemill.wire import fields
from gatemill.wire.body import check, check_depth

if TYPE_CHECKING:
    from gatemill.core.call import Key
    from gatemill.edge.application import Application
    from gatemill.edge.jobs.counter import Counter

PATH = "/v1/predict/batch"
_KIND = "batch.predict"


class Wanted(Struct, frozen=True, kw_only=True):
    """A batch as it is asked for."""

    model: Annotated[str, Meta(min_length=1, max_length=200)]
    input: list[Raw] | None = None
    input_file_id: Annotated[str, Meta(max_length=200)] | None = None
    top_k: int | None = None
    truncate: bool | None = None
    callback_url: Annotated[str, Meta(max_length=2048)] | None = None
    priority: Word | None = None
    metadata: Metadata | None = None


_wanted = msgspec.json.Decoder(Wanted)
_names = msgspec.json.Decoder(dict[str, Raw])
# What the job's arguments call what callers send here.
_PLACES = {"args.items": "input", "args.params.": "", "args.": ""}


def add(app: Application, counter: Counter) -> None:
    """The route."""

    async def submit(request: Request) -> Response:
        key = counter.caller(request)
        body = await counter.body(request)
        wanted = _read(body, counter.clerk.gateway.json_depth_max)
        if wanted.input_file_id is not None:
            await _check_file(counter, key, wanted.input_file_id)
        said = Submission(
            kind=_KIND,
            args=Raw(_args(wanted)),
            priority=wanted.priority,
            callback_url=wanted.callback_url,
            metadata=wanted.metadata,
        )
        try:
            (accepted,) = await counter.desk.accept(counter.sender(request, key, body), [said])
        except GatemillError as error:
            raise _renamed(error) from None
        answer = counter.clerk.answer(shown.job(accepted.job), 202)
        answer.headers["location"] = f"{JOBS}/{accepted.job.id}"
        if not accepted.created:
            answer.headers["idempotent-replayed"] = "true"
        return answer

    app.add_api_route(PATH, submit, methods=["POST"], **describe.route("predict_batch"))


def _read(body: bytes, depth_max: int) -> Wanted:
    """The batch in a body. Raises InvalidRequest and its kinds."""
    check(body)
    check_names(fields.decode_head(_names, body), Wanted.__struct_fields__)
    check_depth(body, depth_max)
    wanted = fields.decode_head(_wanted, body)
    if (wanted.input is None) == (wanted.input_file_id is None):
        raise InvalidValue("`input`: send texts here, or a file by `input_file_id`.", param="input")
    return wanted


async def _check_file(counter: Counter, key: Key, file_id: str) -> None:
    """Raises NotFound, and InvalidValue for a file that is too large."""
    file = await counter.clerk.ledger.files.get(file_id, owner_of(key))
    check_size(file.bytes)


def _args(wanted: Wanted) -> bytes:
    params = {"top_k": wanted.top_k, "truncate": wanted.truncate}
    args: dict[str, Any] = {
        "model": wanted.model,
        "operation": "predict",
        "params": {name: value for name, value in params.items() if value is not None},
    }
    if wanted.input is not None:
        args["items"] = wanted.input
    else:
        args["input_file_id"] = wanted.input_file_id
    return fields.encode(args)


def _renamed(error: GatemillError) -> GatemillError:
    """The same failure in the words of this route."""
    param = error.param or ""
    kind = InvalidValue if isinstance(error, InvalidArguments) else type(error)
    for inner, ours in _PLACES.items():
        if param.startswith(inner):
            named = ours + param.removeprefix(inner)
            message = error.message.replace(f"`{param}`", f"`{named}`")
            return kind(message, param=named, retry_after_s=error.retry_after_s)
    return error

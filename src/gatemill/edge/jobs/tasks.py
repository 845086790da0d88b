"""The older names of jobs: /tasks and /batch_predict, in Celery's words.

Rule: another way to the same desk; nothing here can do what /v1/jobs cannot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw, Struct
from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.core.errors import InvalidArguments, NotFound
from gatemill.edge.jobs.counter import priority
from gatemill.jobs.desk import CHAT, Manner
from gatemill.jobs.submission import Submission, Word
from gatemill.wire import fields
from gatemill.wire.body import check, check_depth

if TYPE_CHECKING:
    from gatemill.core.job import Job
    from gatemill.core.ports import Json
    from gatemill.edge.application import Application
    from gatemill.edge.jobs.counter import Counter
    from gatemill.jobs.submission import Sender

PREDICT = "batch.predict"
_STATUS = {
    "scheduled": "PENDING",
    "queued": "PENDING",
    "running": "STARTED",
    "succeeded": "SUCCESS",
    "dead": "FAILURE",
    "expired": "FAILURE",
    "cancelled": "REVOKED",
}
_OURS = ("priority", "callback_url")


class _Besides(Struct):
    """What a body holds besides the request itself."""

    priority: Word | None = None
    callback_url: str | None = None


_besides = msgspec.json.Decoder(_Besides)


def add(app: Application, counter: Counter) -> None:
    """The routes."""
    _add_submitting(app, counter)
    _add_reading(app, counter)


def _add_submitting(app: Application, counter: Counter) -> None:
    async def chat(request: Request) -> Response:
        sender, asked, besides = await _handed_in(counter, request)
        manner = Manner(CHAT, priority(besides.priority), besides.callback_url or "")
        accepted = await counter.desk.accept_inference(sender, "chat", asked, manner)
        return _accepted(counter, accepted.job, "/tasks")

    async def predict(request: Request) -> Response:
        sender, asked, besides = await _handed_in(counter, request)
        said = Submission(
            kind=PREDICT,
            args=Raw(asked),
            priority=besides.priority,
            callback_url=besides.callback_url,
        )
        try:
            found = await counter.desk.accept(sender, [said])
        except InvalidArguments as error:
            raise _bare(error) from None
        return _accepted(counter, found[0].job, "/batch_result")

    app.add_api_route(
        "/tasks/chat/completions", chat, methods=["POST"], **describe.route("tasks_chat")
    )
    app.add_api_route(
        "/batch_predict", predict, methods=["POST"], **describe.route("batch_predict")
    )


def _add_reading(app: Application, counter: Counter) -> None:
    clerk = counter.clerk

    async def one(request: Request, task_id: str) -> Response:
        key = counter.caller(request)
        return clerk.answer(_told(await counter.desk.told(key, task_id)))

    async def predicted(request: Request, task_id: str) -> Response:
        key = counter.caller(request)
        said = await counter.desk.told(key, task_id)
        if said["kind"] != PREDICT:
            raise NotFound("There is no such batch of predictions.", param="task_id")
        return clerk.answer(_told(said))

    async def cancel(request: Request, task_id: str) -> Response:
        key = counter.caller(request)
        await counter.desk.cancel(key, task_id)
        return clerk.answer(_told(await counter.desk.told(key, task_id)))

    one_path = "/tasks/{task_id}"
    app.add_api_route(one_path, one, methods=["GET"], **describe.route("task"))
    app.add_api_route(one_path, cancel, methods=["DELETE"], **describe.route("tasks_cancel"))
    app.add_api_route(
        "/batch_result/{task_id}", predicted, methods=["GET"], **describe.route("batch_result")
    )


async def _handed_in(counter: Counter, request: Request) -> tuple[Sender, bytes, _Besides]:
    """Who asks, for what, and what stands besides it. Raises what its parts raise."""
    key = counter.caller(request)
    body = await counter.body(request)
    asked, besides = _parted(body, counter.clerk.gateway.json_depth_max)
    return counter.sender(request, key, body), asked, besides


def _parted(body: bytes, depth_max: int) -> tuple[bytes, _Besides]:
    """The request itself, and what stands besides it. Raises InvalidRequest and its kinds."""
    check(body)
    besides = fields.decode_head(_besides, body)
    check_depth(body, depth_max)
    outer = fields.shallow(body)
    for name in _OURS:
        outer.pop(name, None)
    return fields.encode(outer), besides


def _bare(error: InvalidArguments) -> InvalidArguments:
    """The same refusal, of a body that is the arguments."""
    bare = (error.param or "").removeprefix("args").lstrip(".")
    message = error.message.replace(f"`{error.param}`", f"`{bare}`" if bare else "The body", 1)
    return InvalidArguments(message, param=bare or None)


def _accepted(counter: Counter, job: Job, path: str) -> Response:
    said = {"task_id": job.id, "status": _STATUS[job.state]}
    answer = counter.clerk.answer(said, 202)
    answer.headers["location"] = f"{path}/{job.id}"
    return answer


def _told(job: Json) -> Json:
    status = _STATUS[job["state"]]
    if status == "PENDING" and job["attempts"]:
        status = "RETRY"
    return {
        "task_id": job["id"],
        "status": status,
        "result": job["result"],
        "error": job["error"],
        "progress": job["progress"],
        "cost_usd": job["cost_usd"],
    }

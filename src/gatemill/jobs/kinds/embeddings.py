"""The vectors of many texts. Rule: a text that has none costs the others nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from gatemill.core.errors import GatemillError, UpstreamBadReply
from gatemill.core.job import LOW
from gatemill.jobs.checking import check_model
from gatemill.jobs.context import Quit
from gatemill.jobs.fanout import Fan, Kept, is_of_item, row, rows_of, tokens_of
from gatemill.jobs.runner import problem_of

if TYPE_CHECKING:
    from gatemill.core.call import Key
    from gatemill.core.job import Problem
    from gatemill.gateway.parts import Gateway
    from gatemill.jobs.context import Context

NAME = "embeddings.documents"
QUEUE = "documents"
PRIORITY = LOW
TIMEOUT_S = 21_600.0

REFUSED_FIRST_MAX = 32  # texts refused before any has a vector: then it is the model, not the texts
_ROOM = 1.1  # vectors written as text differ in length by less


class Args(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Texts, and how to embed them."""

    model: Annotated[str, Meta(min_length=1, max_length=200)]
    inputs: Annotated[
        list[Annotated[str, Meta(min_length=1)]], Meta(min_length=1, max_length=100_000)
    ]
    batch_size: Annotated[int, Meta(ge=1, le=2048)] = 128  # texts in one request
    concurrency: Annotated[int, Meta(ge=1, le=64)] = 4  # requests at once
    dimensions: Annotated[int, Meta(ge=1, le=65_536)] | None = None  # numbers; None: the model's
    encoding_format: Literal["float", "base64"] = "float"  # as the provider writes it


class _Vector(Struct):
    index: int
    embedding: Raw


class _Answer(Struct):
    data: list[_Vector]


_answer = msgspec.json.Decoder(_Answer)


def check(args: Args, key: Key, gateway: Gateway) -> None:
    """Raises ModelNotFound."""
    check_model(gateway, key, args.model)


async def run(ctx: Context, args: Args) -> Any:
    """`data` with the vector or the error of each text, in order; `usage`; and how many `failed`."""
    starts = range(0, len(args.inputs), args.batch_size)
    fan = Fan(ctx, len(starts), args.concurrency)
    work = _Work(fan, args)
    found = await fan.run(starts, "batch.{}".format, work.batch, work.failure)
    return {"data": rows_of(found), "usage": fan.usage, "failed": fan.failed}


class _Work:
    """What the batches of one attempt share."""

    def __init__(self, fan: Fan, args: Args) -> None:
        self._fan = fan
        self._args = args
        self._refused = 0  # texts, before the first vector
        self._hopeful = False  # some text has a vector

    async def batch(self, start: int) -> Kept:
        """The rows of the batch that begins there."""
        return await self._span(start, min(start + self._args.batch_size, len(self._args.inputs)))

    def failure(self, start: int, problem: Problem) -> list[Any]:
        """The rows of a batch that the provider never answered."""
        end = min(start + self._args.batch_size, len(self._args.inputs))
        return [{"index": index, "error": problem} for index in range(start, end)]

    async def _span(self, start: int, end: int) -> Kept:
        """Rows of the texts from `start` to `end`; what is refused is halved until one text is left."""
        try:
            return await self._asked(start, end)
        except GatemillError as error:
            if not is_of_item(error):
                raise
            if end - start == 1:
                return self._refuse(start, error)
        middle = (start + end) // 2
        first, second = await self._span(start, middle), await self._span(middle, end)
        return Kept(
            first.rows + second.rows, first.usage + second.usage, first.failed + second.failed
        )

    def _refuse(self, index: int, error: GatemillError) -> Kept:
        self._refused += 1
        if not self._hopeful and self._refused > REFUSED_FIRST_MAX:
            raise Quit(problem_of(error))
        return Kept((row(index=index, error=problem_of(error)),), failed=1)

    async def _asked(self, start: int, end: int) -> Kept:
        args = self._args
        body: dict[str, Any] = {"model": args.model, "input": args.inputs[start:end]}
        if args.dimensions is not None:
            body["dimensions"] = args.dimensions
        if args.encoding_format != "float":
            body["encoding_format"] = args.encoding_format
        answer = await self._fan.ask("embeddings", msgspec.json.encode(body))
        vectors = _vectors(answer, end - start)
        self._hopeful = True
        rows = tuple(row(index=start + at, embedding=each) for at, each in enumerate(vectors))
        bytes_each = sum(len(memoryview(each)) for each in rows) / len(rows)
        self._fan.check_size(bytes_each * len(args.inputs) / _ROOM)
        return Kept(rows, tokens_of("embeddings", answer))


def _vectors(answer: bytes, count: int) -> list[Raw]:
    """The vectors in the order of their texts, as they were written. Raises UpstreamBadReply."""
    try:
        found = {each.index: each.embedding for each in _answer.decode(answer).data}
    except msgspec.MsgspecError:
        found = {}
    if sorted(found) != list(range(count)):
        raise UpstreamBadReply("The embedding model did not answer with a vector for each text.")
    return [found[index] for index in range(count)]

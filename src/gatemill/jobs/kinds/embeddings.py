"""The vectors of many texts, or of the passages of files. Rule: a text that has none costs the others nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from gatemill.core.errors import GatemillError, InvalidValue, UpstreamBadReply
from gatemill.core.job import LOW, Problem
from gatemill.jobs.checking import check_model
from gatemill.jobs.context import Quit
from gatemill.jobs.fanout import Fan, Kept, is_of_item, row, rows_of, tokens_of
from gatemill.jobs.runner import problem_of
from gatemill.knowledge import chunking
from gatemill.knowledge.extracting.limits import UnreadableError
from gatemill.ledger.files import Label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.call import Key
    from gatemill.gateway.parts import Gateway
    from gatemill.jobs.context import Context

NAME = "embeddings.documents"
QUEUE = "documents"
PRIORITY = LOW
TIMEOUT_S = 21_600.0
MASKED = True

REFUSED_FIRST_MAX = 32  # texts refused before any has a vector: then it is the model, not the texts
OUTPUT_BYTES_MAX = 256 << 20  # of the rows in an output file
PASSAGES_MAX = 100_000  # of all files of one job
_ROOM = 1.1  # vectors written as text differ in length by less


class Args(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Texts, and how to embed them."""

    model: Annotated[str, Meta(min_length=1, max_length=200)]
    inputs: (
        Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(min_length=1, max_length=100_000)]
        | None
    ) = None
    # Instead: files, cut into passages.
    file_ids: Annotated[list[str], Meta(min_length=1, max_length=100)] | None = None
    output: Literal["inline", "file"] = "inline"  # the result has the rows, or a file's id
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
    """Raises ModelNotFound, and InvalidValue unless there are texts or files."""
    check_model(gateway, key, args.model)
    if (args.inputs is None) == (args.file_ids is None):
        raise InvalidValue("`inputs`: send texts, or `file_ids`, but not both.", param="inputs")


async def run(ctx: Context, args: Args) -> Any:
    """`data` with the vector or the error of each text, in order; `usage`; and how many `failed`.

    Passages of files have their `file_id`, `start` and `end`. With an output file, its id stands in
    `output_file_id` instead of `data`: a row of JSON a line.
    """
    texts, places = await _texts(ctx, args)
    starts = range(0, len(texts), args.batch_size)
    to_file = args.output == "file"
    fan = Fan(ctx, len(starts), args.concurrency, OUTPUT_BYTES_MAX if to_file else None)
    work = _Work(fan, args, texts, places)
    found = await fan.run(starts, "batch.{}".format, work.batch, work.failure)
    rows = rows_of(found)
    told = {"usage": fan.usage, "failed": fan.failed}
    if not to_file:
        return {"data": rows, **told}
    file_id = await ctx.step("output", lambda: _written(ctx, rows), str)
    return {"output_file_id": file_id, "rows": len(rows), **told}


async def _texts(ctx: Context, args: Args) -> tuple[list[str], list[dict[str, Any]]]:
    """All texts, and what is told of each. Raises Quit for a file that cannot be read, NotFound."""
    if args.file_ids is None:
        inputs = args.inputs or []
        return inputs, [{}] * len(inputs)
    desk = ctx.services.rooms.knowledge
    strategy = chunking.automatic(desk.window(args.model))
    texts: list[str] = []
    places: list[dict[str, Any]] = []
    for file_id in args.file_ids:
        try:
            text = await desk.ingesting.file_text(file_id, ctx.job.owner)
            room = PASSAGES_MAX - len(texts)
            spans = await asyncio.to_thread(chunking.chunks, text, strategy, room)
        except UnreadableError as error:
            raise Quit(Problem(error.code, f"{file_id}: {error.message}")) from None
        except chunking.TooManyError:
            words = f"The files have more than {PASSAGES_MAX} passages. Split the job."
            raise Quit(Problem("too_many_passages", words)) from None
        texts += [text[span.start : span.end] for span in spans]
        places += [{"file_id": file_id, "start": one.start, "end": one.end} for one in spans]
    return texts, places


async def _written(ctx: Context, rows: Sequence[Raw]) -> str:
    """The id of a file with a row a line, which belongs to the job's owner."""
    files, amounts = ctx.services.ledger.files, ctx.services.amounts
    job = ctx.job
    file_id = f"file-{ctx.services.new_id().removeprefix('job_')}"
    draft = await files.begin(file_id, job.owner, amounts.file_bytes_max_per_owner)
    try:
        for one in rows:
            await draft.write(b"%b\n" % bytes(one))
        label = Label("batch_output", f"{job.id}_embeddings.jsonl", amounts.file_keep_s)
        await files.finish(draft, label)
    except GatemillError:
        await files.abandon(file_id)
        raise
    return file_id


class _Work:
    """What the batches of one attempt share."""

    def __init__(
        self, fan: Fan, args: Args, texts: Sequence[str], places: Sequence[dict[str, Any]]
    ) -> None:
        self._fan = fan
        self._args = args
        self._texts = texts
        self._places = places  # told with each text
        self._refused = 0  # texts, before the first vector
        self._hopeful = False  # some text has a vector

    async def batch(self, start: int) -> Kept:
        """The rows of the batch that begins there."""
        return await self._span(start, min(start + self._args.batch_size, len(self._texts)))

    def failure(self, start: int, problem: Problem) -> list[Any]:
        """The rows of a batch that the provider never answered."""
        end = min(start + self._args.batch_size, len(self._texts))
        return [
            {"index": index, **self._places[index], "error": problem} for index in range(start, end)
        ]

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
        told = row(index=index, **self._places[index], error=problem_of(error))
        return Kept((told,), failed=1)

    async def _asked(self, start: int, end: int) -> Kept:
        args = self._args
        body: dict[str, Any] = {"model": args.model, "input": self._texts[start:end]}
        if args.dimensions is not None:
            body["dimensions"] = args.dimensions
        if args.encoding_format != "float":
            body["encoding_format"] = args.encoding_format
        answer = await self._fan.ask("embeddings", msgspec.json.encode(body))
        vectors = _vectors(answer, end - start)
        self._hopeful = True
        rows = tuple(
            row(index=start + at, **self._places[start + at], embedding=each)
            for at, each in enumerate(vectors)
        )
        bytes_each = sum(len(memoryview(each)) for each in rows) / len(rows)
        self._fan.check_size(bytes_each * len(self._texts) / _ROOM)
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

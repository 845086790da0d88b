"""One question to each of many documents. Rule: a document that cannot be read fails alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct

from gatemill.core.job import LOW
from gatemill.jobs import stored
from gatemill.jobs.checking import check_model
from gatemill.jobs.fanout import Fan, Kept, row, rows_of, tokens_of
from gatemill.jobs.prompting import Document, Wish, chat_body, check_ids, said_in
from gatemill.jobs.stored import FileIds, StoreName, named

if TYPE_CHECKING:
    from gatemill.core.call import Key
    from gatemill.core.job import Problem
    from gatemill.gateway.parts import Gateway
    from gatemill.jobs.context import Context

NAME = "documents.ask"
QUEUE = "documents"
PRIORITY = LOW
TIMEOUT_S = 21_600.0
MASKED = True


class Args(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Documents, and what to ask of each."""

    model: Annotated[str, Meta(min_length=1, max_length=200)]
    instruction: Annotated[str, Meta(min_length=1, max_length=100_000)]  # the system message
    documents: Annotated[list[Document], Meta(max_length=10_000)] = []  # one user message each
    file_ids: FileIds = []  # files of the caller's, read as well
    vector_store_id: StoreName = ""  # and all documents of a store, by its id or name
    concurrency: Annotated[int, Meta(ge=1, le=64)] = 8  # requests at once
    max_tokens: Annotated[int, Meta(ge=1)] | None = None  # of an answer; None: the model's most
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None  # None: the model's own


def check(args: Args, key: Key, gateway: Gateway) -> None:
    """Raises ModelNotFound, and InvalidValue for ids that stand twice."""
    check_model(gateway, key, args.model, args.max_tokens)
    check_ids(args.documents)
    stored.check(args.documents, args.file_ids, args.vector_store_id, key)


async def run(ctx: Context, args: Args) -> Any:
    """`data` with the answer or the error for each document, in order; `usage`; how many `failed`."""
    given = await stored.given(ctx, args.documents, args.file_ids, args.vector_store_id)
    fan = Fan(ctx, len(given), args.concurrency)
    wish = Wish(args.model, args.max_tokens, args.temperature)

    async def ask(index: int) -> Kept:
        document = given[index]
        if document.problem is not None:
            failed = row(**named(document), error=document.problem)
            return Kept((failed,), failed=1)
        answer = await fan.ask("chat", chat_body(wish, args.instruction, document.text))
        said = said_in(answer)
        told = row(**named(document), answer=said.text, finish_reason=said.finish)
        return Kept((told,), tokens_of("chat", answer))

    def failure(index: int, problem: Problem) -> list[Any]:
        return [{**named(given[index]), "error": problem}]

    found = await fan.run(range(len(given)), "document.{}".format, ask, failure)
    return {"data": rows_of(found), "usage": fan.usage, "failed": fan.failed}

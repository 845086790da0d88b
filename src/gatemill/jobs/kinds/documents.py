"""One question to each of many documents. Rule: a document that cannot be read fails alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct

from gatemill.core.job import LOW
from gatemill.jobs.checking import check_model
from gatemill.jobs.fanout import Fan, Kept, row, rows_of, tokens_of
from gatemill.jobs.prompting import Document, Wish, chat_body, check_ids, said_in

if TYPE_CHECKING:
    from gatemill.core.call import Key
    from gatemill.core.job import Problem
    from gatemill.gateway.parts import Gateway
    from gatemill.jobs.context import Context

NAME = "documents.ask"
QUEUE = "documents"
PRIORITY = LOW
TIMEOUT_S = 21_600.0


class Args(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Documents, and what to ask of each."""

    model: Annotated[str, Meta(min_length=1, max_length=200)]
    instruction: Annotated[str, Meta(min_length=1, max_length=100_000)]  # the system message
    documents: Annotated[
        list[Document], Meta(min_length=1, max_length=10_000)
    ]  # one user message each
    concurrency: Annotated[int, Meta(ge=1, le=64)] = 8  # requests at once
    max_tokens: Annotated[int, Meta(ge=1)] | None = None  # of an answer; None: the model's most
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None  # None: the model's own


def check(args: Args, key: Key, gateway: Gateway) -> None:
    """Raises ModelNotFound, and InvalidValue for ids that stand twice."""
    check_model(gateway, key, args.model, args.max_tokens)
    check_ids(args.documents)


async def run(ctx: Context, args: Args) -> Any:
    """`data` with the answer or the error for each document, in order; `usage`; how many `failed`."""
    fan = Fan(ctx, len(args.documents), args.concurrency)
    wish = Wish(args.model, args.max_tokens, args.temperature)

    async def ask(index: int) -> Kept:
        document = args.documents[index]
        answer = await fan.ask("chat", chat_body(wish, args.instruction, document.text))
        said = said_in(answer)
        told = row(id=document.id, answer=said.text, finish_reason=said.finish)
        return Kept((told,), tokens_of("chat", answer))

    def failure(index: int, problem: Problem) -> list[Any]:
        return [{"id": args.documents[index].id, "error": problem}]

    found = await fan.run(range(len(args.documents)), "document.{}".format, ask, failure)
    return {"data": rows_of(found), "usage": fan.usage, "failed": fan.failed}

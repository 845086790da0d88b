"""One request for each of many items. Rule: a bad item fails alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from gatemill.core.errors import InvalidValue
from gatemill.core.job import LOW
from gatemill.jobs.checking import Operation, check_model
from gatemill.jobs.fanout import Fan, Kept, row, rows_of, tokens_of
from gatemill.jobs.items import ITEMS_MAX, items_of

if TYPE_CHECKING:
    from gatemill.core.call import Key
    from gatemill.core.job import Problem
    from gatemill.gateway.parts import Gateway
    from gatemill.jobs.context import Context

NAME = "batch.predict"
QUEUE = "batch"
PRIORITY = LOW
TIMEOUT_S = 21_600.0
MASKED = True

MARK = "{item}"
_MARKS_MAX = 4  # an item is repeated no more often
_OURS = ("model", "stream")  # fields that an item cannot have
# Where a plain text goes, in the formats that have no messages.
_FIELDS = {
    "completions": "prompt",
    "embeddings": "input",
    "inference": "text",
    "moderations": "input",
    "predict": "input",
    "predict_text": "text",
    "rerank": "query",
    "responses": "input",
}
_messages = msgspec.json.Decoder(list[Raw])


class Args(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Items, and what to ask of each."""

    model: Annotated[str, Meta(min_length=1, max_length=200)]
    # A text, or fields of a request; these go before those of `params`. Or a file of them.
    items: (
        Annotated[
            list[Annotated[str, Meta(min_length=1)] | dict[str, Raw]],
            Meta(min_length=1, max_length=ITEMS_MAX),
        ]
        | None
    ) = None
    input_file_id: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    operation: Operation = "chat"  # the format of the requests
    params: dict[str, Raw] = {}  # fields of every request; `messages` come before the item's
    template: Annotated[str, Meta(min_length=1, max_length=100_000)] | None = None
    """The text to send instead of an item that is one; it holds `{item}`, 1 to 4 times."""
    concurrency: Annotated[int, Meta(ge=1, le=64)] = 16  # requests at once


def check(args: Args, key: Key, gateway: Gateway) -> None:
    """Raises ModelNotFound, and InvalidValue for a field that no item can be sent with."""
    check_model(gateway, key, args.model)
    if (args.items is None) == (args.input_file_id is None):
        raise InvalidValue(
            f"`items`: send 1 to {ITEMS_MAX} of them, or a file by `input_file_id`.", param="items"
        )
    if args.template is not None and not 1 <= args.template.count(MARK) <= _MARKS_MAX:
        raise InvalidValue(
            f"`template`: say where the item goes by writing {MARK} there, at most {_MARKS_MAX} times.",
            param="template",
        )
    for name in _OURS:
        if name in args.params:
            raise _not_in(name, "params")
    _before(args)


async def run(ctx: Context, args: Args) -> Any:
    """`data` with the answer or the error of each item, in order; `usage`; and how many `failed`."""
    items = args.items or await items_of(ctx, args.input_file_id or "")
    fan = Fan(ctx, len(items), args.concurrency)

    async def ask(index: int) -> Kept:
        answer = await fan.ask(args.operation, _body(args, items[index]))
        usage = tokens_of(args.operation, answer)
        return Kept((row(index=index, output=Raw(answer)),), usage)

    found = await fan.run(range(len(items)), "item.{}".format, ask, _failure)
    return {"data": rows_of(found), "usage": fan.usage, "failed": fan.failed}


def _failure(index: int, problem: Problem) -> list[Any]:
    return [{"index": index, "error": problem}]


def _body(args: Args, item: str | dict[str, Raw]) -> bytes:
    """The request for an item. Raises InvalidValue."""
    body: dict[str, Any] = dict(args.params)
    if isinstance(item, dict):
        for name in _OURS:
            if name in item:
                raise _not_in(name, "item")
        body |= item
    else:
        text = item if args.template is None else args.template.replace(MARK, item)
        field = _FIELDS.get(args.operation)
        if field is None:
            body["messages"] = [*_before(args), {"role": "user", "content": text}]
        else:
            body[field] = text
    return msgspec.json.encode({**body, "model": args.model})


def _before(args: Args) -> list[Any]:
    """The messages that come before an item's. Raises InvalidValue."""
    given = args.params.get("messages")
    if given is None:
        return []
    try:
        return _messages.decode(given)
    except msgspec.MsgspecError:
        raise InvalidValue(
            "`params.messages`: must be an array of messages.", param="params.messages"
        ) from None


def _not_in(name: str, place: str) -> InvalidValue:
    remedy = "The model is that of the job." if name == "model" else "Answers come whole."
    return InvalidValue(f"`{name}` cannot stand in {place}. {remedy}", param=f"{place}.{name}")

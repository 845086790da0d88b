"""The items of a file: a text or a JSON object in each line. Rule: a job that cannot read its file fails, and says why."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw

from gatemill.core.errors import InvalidValue, NotFound
from gatemill.core.job import Problem
from gatemill.jobs.batching.survey import lines
from gatemill.jobs.context import Quit

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from gatemill.jobs.context import Context
    from gatemill.wire.batch import Line

FILE_BYTES_MAX = 32 << 20  # they are in memory while the job runs
ITEMS_MAX = 10_000
_object = msgspec.json.Decoder(dict[str, Raw])
_text = msgspec.json.Decoder(str)


async def items_of(ctx: Context, file_id: str) -> list[str | dict[str, Raw]]:
    """The items of a file of the job's owner; blank lines are none. Raises Quit, LedgerUnavailable."""
    files = ctx.services.ledger.files
    try:
        file = await files.get(file_id, ctx.job.owner)
        check_size(file.bytes)
        return await _read(lines(files.content(file_id)))
    except (NotFound, InvalidValue) as error:
        raise Quit(Problem(error.code, error.message)) from None


def check_size(file_bytes: int) -> None:
    """Raises InvalidValue for a file that is too large."""
    if file_bytes > FILE_BYTES_MAX:
        raise InvalidValue(
            f"`input_file_id`: the file has {file_bytes} bytes; {FILE_BYTES_MAX} are the most. Split it.",
            param="input_file_id",
        )


async def _read(found: AsyncGenerator[Line, None]) -> list[str | dict[str, Raw]]:
    items: list[str | dict[str, Raw]] = []
    async with aclosing(found):
        async for line in found:
            if len(items) == ITEMS_MAX:
                raise InvalidValue(f"The file has more than {ITEMS_MAX} items. Split it.")
            items.append(_item(line))
    if not items:
        raise InvalidValue("The file holds no text. Write one in each line.")
    return items


def _item(line: Line) -> str | dict[str, Any]:
    """What a line holds: an object, a string in quotes, or plain text. Raises InvalidValue."""
    if line.data is None:
        raise InvalidValue(f"Line {line.number} is too long. Cut it.")
    data = line.data.strip()
    try:
        if data.startswith(b"{"):
            return _object.decode(data)
        if data.startswith(b'"'):
            return _text.decode(data)
        return data.decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidValue(
            f"Line {line.number} is neither text nor JSON. Write a text, or one object, in each line."
        ) from None

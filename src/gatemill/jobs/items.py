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
        if file.bytes > FILE_BYTES_MAX:
            raise InvalidValue(f"The file has {file.bytes} bytes; {FILE_BYTES_MAX} are the most.")
        found: list[str | dict[str, Raw]] = []
        async with aclosing(lines(files.content(file_id))) as each:
            async for line in each:
                if len(found) == ITEMS_MAX:
                    raise InvalidValue(f"The file has more than {ITEMS_MAX} items. Split it.")
                found.append(_item(line))
        if not found:
            raise InvalidValue("The file holds no text. Write one in each line.")
    except (NotFound, InvalidValue) as error:
        raise Quit(Problem(error.code, error.message)) from None
    return found


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

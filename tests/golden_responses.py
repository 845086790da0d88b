"""Golden cases of responses through the hub; `PYTHONPATH=tests python tests/golden_responses.py` rewrites them.

Each folder of golden/responses holds what comes in (request.json, and completion.json or
chunks.jsonl) and what must come out (chat.json, and response.json or events.txt).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from calls import call_for
from gatemill.core.call import Usage
from gatemill.wire import responses

FOLDERS = sorted((Path(__file__).parent / "golden" / "responses").iterdir())
USAGE = Usage(input=11, cache_read=4, output=6, reasoning=2)


def produced(folder: Path) -> dict[str, bytes]:
    """What comes out of a case now, by file name."""
    call = call_for(responses, (folder / "request.json").read_bytes())
    out = {"chat.json": _pretty(responses.to_chat(call.body, call))}
    chunks = folder / "chunks.jsonl"
    if not chunks.exists():
        completion = msgspec.json.decode((folder / "completion.json").read_bytes())
        reply = responses.from_chat(completion, call, USAGE)
        return {**out, "response.json": _pretty(msgspec.json.decode(reply))}
    writer = responses.writer(call)
    lines = chunks.read_bytes().splitlines()
    events = b"".join(writer.write(msgspec.json.decode(line)) for line in lines)
    return {**out, "events.txt": events + writer.finish(USAGE)}


def _pretty(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


if __name__ == "__main__":
    for case in FOLDERS:
        for name, content in produced(case).items():
            (case / name).write_bytes(content)

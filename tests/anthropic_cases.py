"""Golden cases of Anthropic's dialect and surface.

A folder of tests/golden/anthropic is one case. `chat_*`: a chat caller and an Anthropic upstream;
`messages_*`: a Messages caller and an OpenAI upstream. request.json and received.* are written by
hand; sent.json and reply.* are ours. `python tests/anthropic_cases.py` rewrites ours, so that the
diff can be reviewed. JSON is indented for that; order and spelling of values are compared.
"""

from pathlib import Path

import msgspec

from gatemill.core.call import Call, Head, Target, TargetSettings, Timeouts
from gatemill.core.clock import FakeClock
from gatemill.providers import anthropic, openai
from gatemill.upstream.inline import Inline
from gatemill.upstream.lane import Lane, LaneSettings
from gatemill.wire import chat, messages
from gatemill.wire.translation import Translation

FOLDER = Path(__file__).parent / "golden" / "anthropic"
CASES = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())


def call_for(surface, body: bytes) -> Call:
    """A call as the door makes it."""
    return Call(
        id="req_1",
        operation=surface.NAME,
        body=body,
        head=surface.head(body),
        started_s=0.0,
        deadline_s=60.0,
        arrived_at=1_700_000_000.0,
    )


def bare_call(*, stream: bool = False) -> Call:
    """A call whose body nobody reads."""
    return Call(
        id="req_1",
        operation="chat",
        body=b"{}",
        head=Head(model="claude", stream=stream),
        started_s=0.0,
        deadline_s=60.0,
        arrived_at=1_700_000_000.0,
    )


def target_for(dialect, **settings) -> Target:
    """A target whose transport nobody uses."""
    return Target(
        provider="p",
        model="upstream-model",
        dialect=dialect,
        transport=Inline(lambda out, now_s: [], FakeClock()),
        timeouts=Timeouts(),
        price=None,
        settings=TargetSettings(**settings),
        lane=Lane("p/m", LaneSettings(), None),
    )


def produce(name: str) -> dict[str, bytes]:
    """File name -> bytes of everything that we make in this case."""
    case = FOLDER / name
    surface, dialect = (chat, anthropic) if name.startswith("chat_") else (messages, openai)
    body = (case / "request.json").read_bytes()
    call = call_for(surface, body)
    sent, hints = dialect.encode(surface.to_chat(body, call), call, target_for(dialect))
    made = {"sent.json": msgspec.json.format(sent, indent=2) + b"\n"}
    if hints or call.reported:
        made["reported.txt"] = "\n".join((*hints, *call.reported, "")).encode()
    if call.head.stream:
        stream = Translation(dialect.reader(call), surface.writer(call))
        made["reply.sse"] = stream.feed((case / "received.sse").read_bytes()) + stream.finish()
        return made
    completion, usage = dialect.decode((case / "received.json").read_bytes(), call)
    assert usage is not None
    reply = surface.from_chat(completion, call, usage)
    made["reply.json"] = msgspec.json.format(reply, indent=2) + b"\n"
    return made


def write() -> None:
    """Rewrite what is ours in every case."""
    for name in CASES:
        for file, data in produce(name).items():
            (FOLDER / name / file).write_bytes(data)


if __name__ == "__main__":
    write()

"""The catalogue: one row per fault, with the sentence that the guide prints.

Rule: a fault exists when it has a row here; script.py reads the rows, delivery.py and answer.py act.
"""

from __future__ import annotations

from msgspec import Struct

SECONDS = "SECONDS"  # the only value that may have a fraction
COUNT = "COUNT"
STATUS = "STATUS"
MEGABYTES = "MB"


class Fault(Struct, frozen=True):
    """One word that may follow the model's name."""

    name: str
    sentence: str
    value: str = ""  # what stands after "=": SECONDS, COUNT, STATUS or MEGABYTES; "" takes none
    low: float = 0
    high: float = 0
    default: float | None = None  # where the value may be left out

    @property
    def usage(self) -> str:
        """How it is written, for people: `cut[=COUNT]`."""
        if not self.value:
            return self.name
        return (
            f"{self.name}={self.value}" if self.default is None else f"{self.name}[={self.value}]"
        )

    @property
    def example(self) -> str:
        """A model name with this fault that parses."""
        value = self.low if self.default is None else self.default
        example = f"fake+{self.name}={value:g}" if self.value else f"fake+{self.name}"
        return f"{example}+status=503" if self.name == "first" else example


WHEN = (
    Fault(
        "first",
        "Only the first COUNT requests for this exact model name meet the faults written after it.",
        COUNT,
        1,
        1_000_000,
    ),
)
BEFORE = (
    Fault("first-byte", "Waits before the first byte of the answer.", SECONDS, 0, 3600),
    Fault("hang", "Takes the request and never answers."),
    Fault("abort", "Resets the connection (RST) instead of answering."),
    Fault("close", "Closes the connection (FIN) instead of answering."),
    Fault("early-hints", "Sends an interim 103 answer before the real one."),
    Fault("stall", "Sends the headers, then waits before the body.", SECONDS, 0, 3600),
)
FAILURES = (
    Fault("status", "Fails with this HTTP status and the vendor's error body.", STATUS, 300, 599),
    Fault(
        "retry-after",
        "Adds a `retry-after` header; together with `status` or `quota`.",
        SECONDS,
        0,
        86_400,
    ),
    Fault("auth", "Refuses the key with 401, or 403 when told so.", STATUS, 401, 403, 401),
    Fault("quota", "Says that the account has no credit left: OpenAI 429, Anthropic 400."),
    Fault("overloaded", "Says that it is overloaded: OpenAI 503, Anthropic 529."),
    Fault("context-length", "Says that the prompt does not fit the model: 400."),
    Fault("content-policy", "Says that the prompt breaks the content policy: 400."),
    Fault(
        "html-error",
        "Fails with an HTML page, as a load balancer in front of a provider does.",
        STATUS,
        400,
        599,
        502,
    ),
    Fault("error-200", "Answers 200 with a JSON body that holds only an error."),
)
CONTENT = (
    Fault("words", "Answers with this many words, each one token.", COUNT, 0, 1_000_000),
    Fault(
        "tools",
        "Calls a tool; with a COUNT, several at once. A request that brings a tool's result"
        " gets text.",
        COUNT,
        1,
        16,
        1,
    ),
    Fault("refusal", "Refuses politely, in the vendor's form."),
    Fault("length", "Says that the answer was cut at the token limit."),
    Fault(
        "reasoning", "Thinks before it answers: `reasoning_content`, or a signed thinking block."
    ),
    Fault(
        "cached",
        "Reports 100 prompt tokens read from a cache and 50 written to it, 20 of them for an hour (Anthropic).",
    ),
    Fault("no-usage", "Leaves out all token counts."),
    Fault("huge", "Answers with a text of this many megabytes.", MEGABYTES, 1, 1024),
    Fault("bad-json", "Sends broken JSON: half a body, or half of the first content event."),
)
STREAM = (
    Fault(
        "cut",
        "Closes the connection after COUNT content events; a complete answer ends half-way.",
        COUNT,
        0,
        1_000_000,
        1,
    ),
    Fault(
        "error-event",
        "Sends an error event after COUNT content events and ends; 0 is before any content.",
        COUNT,
        0,
        1_000_000,
        1,
    ),
    Fault(
        "slow",
        "Pauses between content events; a complete answer comes in four pieces.",
        SECONDS,
        0,
        3600,
    ),
    Fault("no-done", "Ends a stream without `[DONE]`, `message_stop` or `response.completed`."),
    Fault("crlf", "Ends the lines of a stream with CRLF."),
    Fault("comments", "Sends a comment line before every event."),
)
BYTES = (
    Fault(
        "split-utf8",
        "Answers in emoji and Chinese, and cuts its writes inside each character.",
    ),
    Fault("bytewise", "Writes one byte at a time, headers included."),
    Fault("chunked", "Sends a complete answer with chunked transfer encoding, in four chunks."),
    Fault("bad-chunk", "Sends an impossible chunk size inside the body and closes."),
    Fault("no-length", "Marks the end of the body only by closing the connection."),
    Fault("gzip", "Compresses although nobody asked."),
    Fault(
        "gzip-bomb",
        "Compresses a text of this many megabytes into a thousandth of that.",
        MEGABYTES,
        1,
        1024,
        100,
    ),
    Fault("keepalive-lie", "Answers well, then closes the connection without having said so."),
    Fault("stale", "Answers well, then closes as soon as the next request arrives."),
)

GROUPS: tuple[tuple[str, tuple[Fault, ...]], ...] = (
    ("How often", WHEN),
    ("Before the answer", BEFORE),
    ("Failures that a provider reports", FAILURES),
    ("What the answer says", CONTENT),
    ("How a stream runs", STREAM),
    ("How bytes travel", BYTES),
)
CATALOGUE: dict[str, Fault] = {fault.name: fault for _, group in GROUPS for fault in group}


def table() -> str:
    """The catalogue in Markdown, as docs/guides/try-failure.md shows it."""
    parts = []
    for title, group in GROUPS:
        rows = "".join(f"| `{fault.usage}` | {fault.sentence} |\n" for fault in group)
        parts.append(f"### {title}\n\n| Write | What it does |\n| --- | --- |\n{rows}")
    return "\n".join(parts)

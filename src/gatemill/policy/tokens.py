"""Token counts without a tokenizer: good enough to reserve by, never to bill by.

Rule: cheap and bounded; whoever settles uses the provider's own usage and marks ours `estimated`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatemill.core.ports import Json

BYTES_PER_TOKEN = 4

# Text the model reads. Everything else in a body steers the call and is not part of the prompt.
_PROMPT_FIELDS = (
    *("messages", "input", "prompt", "text", "system", "instructions", "query", "documents"),
    *("tools", "functions", "response_format"),
)
_SCHEMAS = frozenset(("tools", "functions", "response_format"))
# Fields whose strings are files, sound or signatures in base64, not text.
_BINARY_FIELDS = frozenset(("data", "file_data", "signature", "encrypted_content"))


def estimate(text_bytes: int) -> int:
    """Tokens in `text_bytes` bytes of UTF-8, rounded up.

    Measured against OpenAI's o200k vocabulary: English +1 %, German, French and Spanish -1 to +2 %,
    Turkish -9 %, Russian and Ukrainian +33 and +14 %, Hindi +45 %, Japanese and Korean -7 and -4 %,
    Chinese -8 to -17 %, Python +25 %, JSON -6 %, TOML -19 %. Room for error is the caller's to leave.
    """
    return -(-text_bytes // BYTES_PER_TOKEN)


def estimate_prompt(body: Json) -> int:
    """Prompt tokens of a request in any of our formats: its texts, tools and the answer's schema.

    Names of fields count in tools and schemas, where the model reads them, and not in messages.
    Data URLs and base64 fields count nothing; a picture's tokens depend on its size and the model.
    """
    text_bytes = 0
    for name in _PROMPT_FIELDS:
        if value := body.get(name):
            text_bytes += _text_bytes(value, names=name in _SCHEMAS)
    return estimate(text_bytes)


def _text_bytes(root: Any, *, names: bool) -> int:
    total = 0
    waiting = [root]  # a stack, because recursion would meet Python's limit before ours
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            total += len(value.encode("utf-8", "replace"))
        elif isinstance(value, list):
            waiting.extend(value)
            total += BYTES_PER_TOKEN * sum(type(item) is int for item in value)  # a token's number
        elif isinstance(value, dict):
            waiting.extend(inner for name, inner in value.items() if not _is_binary(name, inner))
            if names:
                waiting.extend(value)
    return total


def _is_binary(name: str, value: Any) -> bool:
    # Only where a file belongs: a message that begins with "data:" is text like any other.
    if not isinstance(value, str):
        return False
    return name in _BINARY_FIELDS or (name == "url" and value.startswith("data:"))

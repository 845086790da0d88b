"""Where the texts are in a request or an answer, of whatever format.

Rule: a string is a text. Only what a format itself defines to be something else is left out: ids,
names of models and tools, signatures, contents of files in base64, and in JSON Schema all but what it
says in words and the values that it names. So a field that is not known here is looked at, not missed.

Three kinds of object are told apart. In what a format defines, names are known. In what callers and
models fill as they like (arguments of a tool, metadata, features), every string is a text, and so is
every name, which may be an address, and every long whole number, which may be a card's. In JSON Schema,
values are structure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Whole = Callable[["Place"], str]  # what stands there instead

# Strings, and arrays of strings, that are no texts in what a format defines; and all that ends in _id.
STRUCTURAL = frozenset(
    (
        "model", "role", "type", "object", "id", "name", "status", "finish_reason", "stop_reason",
        "native_finish_reason", "signature", "thought_signature", "encrypted_content",
        "encrypted_index", "service_tier", "system_fingerprint", "obfuscation", "detail", "effort",
        "truncation", "verbosity", "tool_choice", "media_type", "mime_type", "encoding_format",
        "embedding", "datatype", "modalities", "include", "include_obfuscation", "phase", "betas",
        "container", "cursor", "next_page", "page_token", "sha256", "fingerprint", "provider",
        "version", "server_label", "authorization", "authorization_token", "allowed_tools",
        "ttl", "format", "voice", "size", "quality", "background", "created_at", "expires_at",
    )
)  # fmt: skip
# Filled as callers and models like, where they are objects.
_FREE = frozenset(
    (
        "input", "arguments", "metadata", "variables", "prompt_variables", "features", "entities",
        "attributes", "args", "output", "values",
    )
)  # fmt: skip
_SCHEMAS = frozenset(("parameters", "input_schema", "output_schema", "schema", "guided_json"))
_SCHEMA_WORDS = frozenset(("type", "properties", "$ref", "anyOf", "oneOf", "allOf", "$schema"))
_SCHEMA_TEXTS = frozenset(
    ("description", "title", "$comment", "examples", "enum", "const", "default")
)
# The text again, token by token; token_ids are vLLM's, for whoever asks with return_token_ids.
_REPEATS = frozenset(("logprobs", "top_logprobs", "token_ids"))
_JSON = frozenset(("arguments", "partial_json"))  # strings that hold JSON

_FILES = frozenset(("data", "file_data", "b64_json", "result", "partial_image_b64", "screenshot"))
_FILE_CHARS_MIN = 256  # a shorter one is looked at: it may be a word
_BASE64 = re.compile(r"[A-Za-z0-9+/_\-\r\n]+={0,2}\s*")
_DATA_URI = re.compile(r"data:[A-Za-z0-9/+.;=_\-]{0,200};base64,")

_LONG = 1_000_000  # from here on a whole number may say who somebody is
# A name that a format may define; any other is the caller's, and a text.
_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]{0,35}")
_KNOWN, _ANY, _SCHEMA = range(3)  # what kind of object it is


class Place(NamedTuple):
    """Where a text stands. The places of a body are put back in the order in which they were found."""

    holder: Any  # the object or array
    name: Any  # its key or index
    path: str  # "messages.0.content"
    is_json: bool = False  # the text is JSON, as a tool's arguments are
    is_key: bool = False  # the text is the name itself

    @property
    def text(self) -> str:
        """The text; a number as it is written."""
        return str(self.name if self.is_key else self.holder[self.name])

    def put(self, text: str) -> None:
        """`text` stands there instead, in place of a number too. A name that is taken already gets an underscore behind it."""
        if not self.is_key:
            self.holder[self.name] = text
            return
        while text != self.name and text in self.holder:
            text += "_"
        pairs = [(text if key == self.name else key, held) for key, held in self.holder.items()]
        self.holder.clear()
        self.holder.update(pairs)


def places(body: Any) -> list[Place]:
    """Every text of a decoded request or answer, in the order of the body."""
    return list(_places(body))


def is_text(name: str, text: str, *, is_part: bool = False) -> bool:
    """Whether a string that a format defines under this name is a text, or `is_part` of one.

    What a part looks like says nothing of the whole: it is as long as the network has cut it.
    """
    if name in STRUCTURAL or name.endswith(("_id", "_ids")):
        return False
    is_long = len(text) >= _FILE_CHARS_MIN
    if name in _FILES and is_long and _BASE64.fullmatch(text):
        return False
    may_be_file = name.endswith("url") or (is_long and not is_part)
    return not (may_be_file and is_data_uri(text))


def is_data_uri(text: str) -> bool:
    """Whether it is a file in base64, with its kind before it, and nothing else."""
    found = _DATA_URI.match(text)
    return found is not None and _BASE64.fullmatch(text, found.end()) is not None


def rewrite(body: Any, whole: Whole) -> bool:
    """Each text is what `whole` makes of it. Whether any has changed."""
    changed = False
    for place in places(body):
        told = whole(place)
        if told != place.text:
            place.put(told)
            changed = True
    return changed


def drop_repeats(body: Any) -> bool:
    """Nothing repeats a text token by token: log probabilities are null, or []. Whether any has changed."""
    changed = False
    steps = [body]
    while steps:
        value = steps.pop()
        if isinstance(value, dict):
            for name, held in value.items():
                if name not in _REPEATS:
                    steps.append(held)
                elif held and isinstance(held, (dict, list)):
                    value[name] = [] if isinstance(held, list) else None
                    changed = True
        elif isinstance(value, list):
            steps += value
    return changed


def _places(body: Any) -> Iterator[Place]:
    # A stack of our own: an answer may be nested deeper than Python can call.
    steps: list[tuple[Any, str, int, str] | Place] = [(body, "", _KNOWN, "")]
    while steps:
        step = steps.pop()
        if isinstance(step, Place):
            yield step
            continue
        value, path, kind, under = step
        if isinstance(value, dict):
            found = _in_object(value, path, kind)
        elif isinstance(value, list):
            found = _in_array(value, path, kind, under)
        else:
            continue
        found.reverse()
        steps += found


def _in_object(value: dict[str, Any], path: str, kind: int) -> list[Any]:
    found: list[Any] = []
    for name, held in value.items():
        at = f"{path}.{name}" if path else name
        if isinstance(held, str):
            # Whoever speaks has a name; a tool that has one is no person.
            is_person = name == "name" and "role" in value
            # Anthropic's documents say so where their data is no base64.
            is_plain = name == "data" and value.get("type") == "text"
            if held and (is_person or is_plain or _counts(kind, name, held)):
                found.append(Place(value, name, at, kind == _KNOWN and name in _JSON))
        elif kind == _ANY and _is_long(held):
            found.append(Place(value, name, at))
        elif isinstance(held, (dict, list)) and not (kind == _KNOWN and name in _REPEATS):
            found.append((held, at, _kind(kind, name, held), name))
    # Behind the values, which are found under the names as they are.
    found.extend(
        Place(value, name, f"{path}.{name}" if path else name, is_key=True)
        for name in value
        if kind == _ANY or not _NAME.fullmatch(name)
    )
    return found


def _in_array(value: list[Any], path: str, kind: int, under: str) -> list[Any]:
    found: list[Any] = []
    for index, held in enumerate(value):
        at = f"{path}.{index}" if path else str(index)
        if isinstance(held, str):
            if _counts(kind, under, held):
                found.append(Place(value, index, at))
        elif kind == _ANY and _is_long(held):
            found.append(Place(value, index, at))
        elif isinstance(held, (dict, list)):
            found.append((held, at, kind, under))
    return found


def _is_long(held: Any) -> bool:
    return type(held) is int and abs(held) >= _LONG


def _counts(kind: int, name: str, text: str) -> bool:
    if not text:
        return False
    if kind == _KNOWN:
        return is_text(name, text)
    if kind == _SCHEMA:
        return name in _SCHEMA_TEXTS
    return not is_data_uri(text)


def _kind(kind: int, name: str, held: Any) -> int:
    if kind != _KNOWN:
        return kind
    if not isinstance(held, dict):
        return _KNOWN
    if name in _FREE:
        return _ANY
    if name in _SCHEMAS:
        return _SCHEMA if not _SCHEMA_WORDS.isdisjoint(held) else _ANY
    return _KNOWN

"""OpenAI's moderations. Rule: a text is flagged for the categories whose names stand in it, and for no others."""

from __future__ import annotations

from typing import Any

from gatemill.core.errors import InvalidValue
from gatemill.fake_provider.turn import Json

FLAGGED, QUIET = 0.98, 0.001  # scores
_PICTURED = (
    *("self-harm", "self-harm/intent", "self-harm/instructions"),
    *("sexual", "violence", "violence/graphic"),
)
CATEGORIES = (
    *("hate", "hate/threatening", "harassment", "harassment/threatening"),
    *("illicit", "illicit/violent", "sexual/minors", *_PICTURED),
)


def moderations(body: Json, sequence: int) -> Json:
    """The complete answer: one result for each text, or one for all parts. Raises InvalidValue."""
    given = body["input"]
    if isinstance(given, str):
        results = [_result(given, ["text"])]
    elif isinstance(given, list) and all(isinstance(one, str) for one in given):
        results = [_result(one, ["text"]) for one in given]
    elif isinstance(given, list) and all(isinstance(one, dict) for one in given):
        results = [_of_parts(given)]
    else:
        raise InvalidValue("Send a text, texts, or parts.", param="input")
    return {"id": f"modr-fake{sequence:08d}", "model": body["model"], "results": results}


def _of_parts(parts: list[Json]) -> Json:
    texts = [str(part.get("text", "")) for part in parts]
    pictured = any(part.get("type") == "image_url" for part in parts)
    return _result("\n".join(texts), ["text", "image"] if pictured else ["text"])


def _result(text: str, kinds: list[str]) -> dict[str, Any]:
    words = set(text.lower().split())
    flags = {name: name in words for name in CATEGORIES}
    return {
        "flagged": any(flags.values()),
        "categories": flags,
        "category_scores": {name: FLAGGED if flag else QUIET for name, flag in flags.items()},
        "category_applied_input_types": {
            name: kinds if name in _PICTURED else ["text"] for name in CATEGORIES
        },
    }

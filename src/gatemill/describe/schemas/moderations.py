"""Schemas of moderations, as OpenAI's document has them."""

from __future__ import annotations

from gatemill.describe.words import (
    Json,
    array,
    asked,
    either,
    flag,
    number,
    obj,
    ref,
    string,
    word,
)
from gatemill.wire.harms import CATEGORIES
from gatemill.wire.moderations import INPUTS_MAX

_TEXT = string("A text.", least=1)
_TYPES = array("What was looked at.", word("A kind of input.", "text", "image"))


def _by_category(about: str, value: Json) -> Json:
    """A value for each of OpenAI's categories; models may have further ones."""
    return {
        **obj(about, {name: {**value, "description": name} for name in CATEGORIES}),
        "additionalProperties": value,
    }


SCHEMAS: dict[str, Json] = {
    "ModerationRequest": asked(
        "What to judge. Other fields are passed on.",
        {
            "input": either(
                "One text, several, or parts that are judged together.",
                [
                    _TEXT,
                    array("Several texts.", _TEXT, least=1, most=INPUTS_MAX),
                    array("Parts.", ref("ModerationPart"), least=1, most=INPUTS_MAX),
                ],
            )
        },
        {"model": string("Another model than `guards.moderation.model`.", least=1)},
    ),
    "ModerationPart": either(
        "A text or a picture.",
        [
            obj("A text.", {"type": word("Its kind.", "text"), "text": _TEXT}),
            obj(
                "A picture; classifiers read none.",
                {
                    "type": word("Its kind.", "image_url"),
                    "image_url": obj("Where it is.", {"url": string("A URL.", least=1)}),
                },
            ),
        ],
    ),
    "Moderation": obj(
        "One result for each text, in the same order; one for all parts.",
        {
            "id": string("Its id."),
            "model": string("The model that judged."),
            "results": array("The results.", ref("ModerationResult"), least=1),
        },
        {"usage": ref("Usage", "Tokens used, where the model says so.")},
    ),
    "ModerationResult": obj(
        "What a text holds.",
        {
            "flagged": flag("Whether some category counts."),
            "categories": _by_category("Which categories count.", {"type": "boolean"}),
            "category_scores": _by_category("How sure the model is, 0 to 1.", number("A score.")),
            "category_applied_input_types": _by_category("What each was judged by.", _TYPES),
        },
    ),
}

"""Schemas of predict and rerank."""

from __future__ import annotations

from gatemill.core.model import TASKS
from gatemill.describe.schemas.chat import MODEL
from gatemill.describe.words import (
    Json,
    array,
    asked,
    either,
    flag,
    mapping,
    number,
    obj,
    or_null,
    ref,
    string,
    whole,
    word,
)
from gatemill.wire.predict import LABELS_MAX, TEXTS_MAX
from gatemill.wire.rerank import DOCUMENTS_MAX, TEXT_CHARS_MAX

_TEXT = string("A text.", least=1)
_LABEL = string("Its name.")
_CONFIDENCE = number("How sure the model is.", least=0, most=1)
_LIST = word("Kind of this object.", "list")
_DOCUMENT: Json = {**string("A document."), "maxLength": TEXT_CHARS_MAX}

SCHEMAS: dict[str, Json] = {
    "PredictionRequest": {
        **asked(
            "Texts to classify. Other fields are refused.",
            {
                "model": MODEL,
                "input": either(
                    "One text, or several.",
                    [_TEXT, array("Several texts.", _TEXT, least=1, most=TEXTS_MAX)],
                ),
            },
            {
                "top_k": whole("Labels to show for each; 1 by default.", least=1, most=LABELS_MAX),
                "truncate": flag("Long texts are cut, and not refused."),
                "entities": mapping("Whose features are used, by kind.", {"type": "string"}),
                "features": mapping("Values that you know, by their names."),
                "user": string("Your id of the end user."),
            },
        ),
        "additionalProperties": False,
    },
    "PredictionList": obj(
        "One prediction for each text, in the same order.",
        {
            "object": _LIST,
            "model": string("The model, as you named it."),
            "version": or_null(string("Exactly which one it was; null where nobody says.")),
            "predictions": array("The predictions.", ref("Prediction")),
        },
        {"arm": string("The experiment's arm."), "usage": ref("Usage", "Tokens used.")},
    ),
    "Prediction": obj(
        "What a text is.",
        {"label": string("The likeliest label."), "confidence": _CONFIDENCE},
        {
            "scores": array(
                "The likeliest labels, the first one first.",
                obj("A label.", {"label": _LABEL, "score": number("Its score.")}),
            ),
            "truncated": flag("The model has not seen the end of the text."),
        },
    ),
    "PredictTextRequest": {
        **asked(
            "One text. Other fields are refused.",
            {"text": string("What to classify.", least=1)},
            {"model": string("Another model than `server.predict_model`.", least=1)},
        ),
        "additionalProperties": False,
    },
    "PredictedText": obj(
        "What the text is.",
        {
            "label": string("The likeliest label."),
            "confidence": _CONFIDENCE,
            "model_version": string("Exactly which model said so."),
        },
    ),
    "PredictBatch": {
        **asked(
            "Many texts to classify: `input` or `input_file_id`. Other fields are refused.",
            {"model": MODEL},
            {
                "input": array(
                    "Texts, or objects with fields of a predict request.",
                    either("One of them.", [_TEXT, mapping("Fields of a predict request.")]),
                    least=1,
                    most=10_000,
                ),
                "input_file_id": string("A file with one of them in each line."),
                "top_k": whole("Labels to show for each; 1 by default.", least=1, most=LABELS_MAX),
                "truncate": flag("Long texts are cut, and not refused."),
                "callback_url": string("Who is told when it has ended."),
                "priority": word("Its place among jobs.", "high", "default", "low"),
                "metadata": mapping("Up to 16 pairs of your own.", {"type": "string"}),
            },
        ),
        "additionalProperties": False,
    },
    "ModelCard": obj(
        "What a built-in model is, and what it is not.",
        {
            "task": word("What it does.", *TASKS),
            "version": string("Of its rules and its words."),
            "about": string("What it does, and how."),
            "not_for": string("What it cannot do."),
            "measured": string("How good it is, measured."),
            "limits": string("How much it takes."),
        },
    ),
    "RerankRequest": asked(
        "Documents to compare with a query. Fields of other servers are passed on.",
        {
            "model": MODEL,
            "query": string("What to look for.", least=1),
            "documents": array(
                "The documents.",
                either("One of them.", [_DOCUMENT, obj("As an object.", {"text": _DOCUMENT})]),
                least=1,
                most=DOCUMENTS_MAX,
            ),
        },
        {
            "top_n": whole("Results to show; all by default.", least=1),
            "return_documents": flag("Whether results repeat their documents."),
            "truncate": flag("Whether models that run here may cut documents that are too long."),
            "user": string("Your id of the end user."),
        },
    ),
    "Ranking": obj(
        "The documents, the best first.",
        {
            "results": array(
                "The results.",
                obj(
                    "A document.",
                    {
                        "index": whole("Its place in the request.", least=0),
                        "relevance_score": number("How well it fits; only the order means much."),
                    },
                    {"document": obj("The document.", {"text": string("Its text.")})},
                ),
            )
        },
        {
            "object": _LIST,
            "id": string("The provider's id of the answer."),
            "model": string("The model that answered."),
            "usage": mapping("Tokens used."),
        },
    ),
}

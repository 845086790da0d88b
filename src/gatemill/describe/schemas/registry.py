"""Models and prompts of one's own: names, versions, aliases."""

from __future__ import annotations

from gatemill.core.model import ENGINES, TASKS
from gatemill.describe.schemas.admin import listing
from gatemill.describe.words import (
    Json,
    array,
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
from gatemill.jobs.kinds.train_head import EXAMPLES_MAX

_NAME = {**string("Letters, digits, `.`, `_` and `-`."), "minLength": 1, "maxLength": 100}
_KIND = word("What it is.", "model", "prompt")
_TASK = or_null(word("What it does; null for a prompt.", *TASKS))
_TEAM = or_null(string("Of a prompt: the team whose keys may use it; null is everybody."))
_AT = number("When, in seconds of Unix time.", least=0)
_WHO = string("The id of the admin's key, `cli`, or `mlflow`.")
_WHY = {**string("Why, for whoever asks later."), "minLength": 1, "maxLength": 1000}
_NUMBER = whole("The number of a version.", least=1)
_CURRENT = whole("Refused with 409 unless it points there now; 0: unless there is none.", least=0)
_SOURCE = string(
    "Where it comes from: `builtin:NAME`, `file:/FOLDER`, `hf:OWNER/NAME@COMMIT`, `mlflow:NAME@ALIAS`,"
    " `mlflow:NAME/VERSION`, or `PROVIDER:MODEL` with a provider of the configuration."
)
_PARAMS = mapping(
    "Of a prompt: fields of the request, which the caller may replace. Of a model: for people."
)


def _closed(schema: Json) -> Json:
    return {**schema, "additionalProperties": False}


SCHEMAS: dict[str, Json] = {
    "ModelNew": _closed(
        obj(
            "A name to make.",
            {"name": _NAME},
            {
                "kind": _KIND,
                "task": word("What it does; needed for a model, none for a prompt.", *TASKS, ""),
                "description": {**string("For people."), "maxLength": 2000},
                "team_id": _TEAM,
            },
        )
    ),
    "ModelChange": _closed(obj("Whose a prompt is.", {"team_id": _TEAM})),
    "RegisteredModel": obj(
        "A name of the registry. It has the fields of OpenAI's model, too.",
        {
            "id": _NAME,
            "object": word("Kind of this object.", "model"),
            "created": whole("When, in seconds of Unix time.", least=0),
            "owned_by": string("Always `registry`."),
            "kind": _KIND,
            "task": _TASK,
            "description": string("For people."),
            "team_id": string("Of a prompt: whose keys may use it; empty is everybody."),
            "version": or_null(string("What the bare name means now; null without a version.")),
            "versions": array("The numbers of those that are served.", _NUMBER),
            "aliases": mapping("The version that each alias means."),
            "created_by": _WHO,
            "failed": mapping(
                "Names that go on meaning an older version in this process, because the newer one could"
                " not be loaded here: why."
            ),
        },
    ),
    "RegisteredModelList": listing("Names of the registry.", "RegisteredModel"),
    "DeletedModel": obj(
        "It is gone.",
        {
            "id": _NAME,
            "object": word("What it was.", "model"),
            "deleted": flag("Always true."),
        },
    ),
    "LabelledExample": _closed(
        obj(
            "A text, and what it is.",
            {
                "text": {**string("The text."), "minLength": 1, "maxLength": 20_000},
                "label": {**string("What it is."), "minLength": 1, "maxLength": 200},
            },
            {
                "features": mapping(
                    "What is known besides, at most 32 by name: numbers, words, true and false."
                )
            },
        )
    ),
    "PromptMessage": _closed(
        obj(
            "A message with places for variables.",
            {
                "role": word("Who says it.", "system", "developer", "user", "assistant"),
                "content": string(
                    "Text with `{{ variable }}`, `{{ features.user.tier }}`, `{% if %}`, `{% for %}` and"
                    " filters."
                ),
            },
        )
    ),
    "VersionNew": _closed(
        obj(
            "A version to add: one of `source`, `examples` and `template`.",
            {},
            {
                "source": _SOURCE,
                "engine": word(
                    "Who runs files; onnx by default, torch to generate.", "onnx", "torch", ""
                ),
                "sha256": string("Of the manifest of the files; others are refused."),
                "options": mapping("Of the engine; see docs/guides/local-models.md."),
                "examples": array(
                    "At least two of each label.",
                    ref("LabelledExample"),
                    least=4,
                    most=EXAMPLES_MAX,
                ),
                "embedding_model": string(
                    "A model that runs here, whose vectors the classifier takes; `builtin/hash-512` by"
                    " default."
                ),
                "l2": number("How much large weights are held down.", least=1e-6, most=10),
                "template": {
                    "description": "A prompt: messages, or a text, which is one message of the user's.",
                    "oneOf": [
                        {"type": "string"},
                        array("Messages.", ref("PromptMessage"), least=1),
                    ],
                },
                "variables": or_null(
                    mapping(
                        "By name: `type` (string, number, integer, boolean, array, object), `default`,"
                        " `description`. Left out: every name in the template is a string."
                    )
                ),
                "params": _PARAMS,
                "metrics": mapping("Figures, for people."),
                "card": {**string("Markdown, for people."), "maxLength": 16_384},
            },
        )
    ),
    "ModelVersion": obj(
        "A version. It never changes.",
        {
            "object": word("Kind of this object.", "model.version"),
            "id": string("Its name: `mood:1`."),
            "model": _NAME,
            "version": _NUMBER,
            "kind": _KIND,
            "task": _TASK,
            "source": or_null(_SOURCE),
            "origin": or_null(
                string("What the source was resolved from, such as an alias of MLflow's.")
            ),
            "engine": or_null(word("Who runs it; null where a provider does.", *ENGINES)),
            "sha256": or_null(string("Of the manifest of its files, or of its weights.")),
            "options": mapping("Of the engine."),
            "params": _PARAMS,
            "metrics": mapping(
                "Figures; those of a head come of examples that it was not trained on."
            ),
            "card": string("Markdown, for people."),
            "size_bytes": whole("What it holds in the database.", least=0),
            "archived": flag("It is no longer served."),
            "created_at": _AT,
            "created_by": _WHO,
        },
        {
            "template": array("Of a prompt.", ref("PromptMessage")),
            "variables": mapping("Of a prompt."),
        },
    ),
    "ModelVersionList": listing("Versions.", "ModelVersion"),
    "AliasMove": _closed(
        obj("Where to, and why.", {"version": _NUMBER, "reason": _WHY}, {"if_current": _CURRENT})
    ),
    "AliasRollback": _closed(obj("Why.", {"reason": _WHY}, {"if_current": _CURRENT})),
    "MovedAlias": obj(
        "What became of an alias.",
        {
            "object": word("Kind of this object.", "model.alias"),
            "model": _NAME,
            "alias": string("The alias."),
            "version": or_null(whole("What it means now; null when it is gone.", least=1)),
            "previous": or_null(whole("What it meant before.", least=1)),
            "loaded": flag("The version runs here, is loaded, and has answered a first request."),
        },
    ),
    "ModelEvent": obj(
        "A move of an alias.",
        {
            "object": word("Kind of this object.", "model.event"),
            "id": whole("Rises with each move.", least=1),
            "model": _NAME,
            "alias": string("The alias."),
            "action": word("What was done.", "set", "rollback", "delete"),
            "from_version": or_null(whole("Where it pointed.", least=1)),
            "to_version": or_null(whole("Where it points.", least=1)),
            "reason": string("Why."),
            "actor": _WHO,
            "at": _AT,
        },
    ),
    "ModelEventList": listing("Moves of aliases.", "ModelEvent"),
    "PromptValues": _closed(
        obj(
            "What to fill in.",
            {},
            {
                "prompt_variables": mapping("Values of the variables, by name."),
                "features": mapping("Values of features, such as `user.tier`."),
            },
        )
    ),
    "PromptRendering": obj(
        "What a prompt says.",
        {
            "object": word("Kind of this object.", "prompt.rendering"),
            "version": string("The version of the prompt."),
            "messages": array("With everything in place.", ref("PromptMessage")),
            "params": _PARAMS,
        },
    ),
    "ModelComparison": obj(
        "How two versions differ.",
        {
            "object": word("Kind of this object.", "model.comparison"),
            "model": _NAME,
            "from": _NUMBER,
            "to": _NUMBER,
            "fields": mapping("Those that differ, as [from, to]."),
            "template": array("Lines of a unified diff.", {"type": "string"}),
        },
    ),
}

"""What the document says of the registry. Rule: a row for each route, in the order of the page."""

from __future__ import annotations

from gatemill.describe.control import Control, path_parameter, query
from gatemill.describe.words import string, whole, word

_TAG = "Models of one's own"
_BODY = (400, 413)
_NAME = path_parameter("name", "A name of the registry.", "mood")
_VERSION = {
    **path_parameter("version", "The number of a version.", "1"),
    "schema": whole("The number of a version.", least=1),
    "example": 1,
}
_ALIAS = path_parameter("alias", "An alias, such as `production`.", "production")
_LIMIT = query("limit", whole("Most entries; 100 by default.", least=1, most=500))
_AFTER = query("after", string("The id of the last entry that you have."))
_REASON = {**query("reason", string("Why.")), "required": True}

ROUTES = {
    "registry": Control(
        "List names of the registry",
        "Models and prompts, by name.",
        _TAG,
        "RegisteredModelList",
        asked=(
            query("kind", word("Only this kind.", "model", "prompt")),
            query("team", string("Only prompts of this team.")),
            _LIMIT,
            _AFTER,
        ),
        errors=(400,),
    ),
    "models_create": Control(
        "Make a name",
        "For a model or a prompt of your own. It answers nobody before it has a version.",
        _TAG,
        "RegisteredModel",
        "ModelNew",
        "POST",
        201,
        errors=(*_BODY, 409),
    ),
    "models_update": Control(
        "Give a prompt to a team",
        "Its keys may use the prompt from now on, and those of no other team. For them there is no such"
        " prompt; keys of admins may use all.",
        _TAG,
        "RegisteredModel",
        "ModelChange",
        "PATCH",
        of=_NAME,
        errors=_BODY,
    ),
    "models_delete": Control(
        "Delete a name",
        "With its aliases; its versions are no longer served. Their numbers are not given out again, not"
        " even when the name is made anew.",
        _TAG,
        "DeletedModel",
        method="DELETE",
        of=_NAME,
        asked=(_REASON,),
        errors=(400,),
    ),
    "models_events": Control(
        "List the moves of aliases",
        "Who moved which, when and why; the newest first.",
        _TAG,
        "ModelEventList",
        of=_NAME,
        asked=(query("alias", string("Only this alias.")), _LIMIT, _AFTER),
        errors=(400,),
    ),
    "versions_create": Control(
        "Add a version",
        "Of a model: `source` says where it comes from, or `examples` train a classifier, which answers 202"
        " and a job whose result names the version. Of a prompt: `template`. A version never changes.",
        _TAG,
        "ModelVersion",
        "VersionNew",
        "POST",
        201,
        of=_NAME,
        errors=(*_BODY, 409, 424, 501),
    ),
    "versions": Control(
        "List versions",
        "The newest first; archived ones too.",
        _TAG,
        "ModelVersionList",
        of=_NAME,
        asked=(_LIMIT, _AFTER),
        errors=(400,),
    ),
    "version": Control(
        "Show a version",
        "A version, archived or not.",
        _TAG,
        "ModelVersion",
        of=_NAME,
        asked=(_VERSION,),
    ),
    "versions_archive": Control(
        "Archive a version",
        "It is no longer served. Refused while an alias points to it.",
        _TAG,
        "ModelVersion",
        method="DELETE",
        of=_NAME,
        asked=(_VERSION, _REASON),
        errors=(400, 409),
    ),
    "versions_render": Control(
        "Fill in a prompt",
        "The messages that a version of a prompt makes of these values. No model is asked.",
        _TAG,
        "PromptRendering",
        "PromptValues",
        "POST",
        of=_NAME,
        asked=(_VERSION,),
        errors=_BODY,
    ),
    "compare": Control(
        "Compare two versions",
        "The fields that differ, and the lines of a prompt.",
        _TAG,
        "ModelComparison",
        of=_NAME,
        asked=(
            {**query("from", whole("A version.", least=1)), "required": True},
            {**query("to", whole("A version.", least=1)), "required": True},
        ),
        errors=(400,),
    ),
    "aliases_move": Control(
        "Move an alias",
        "`NAME@ALIAS` means that version from now on, and `NAME` does where the alias is `production`. What"
        " runs here is loaded and asked first: 424 where it fails, and nothing has moved.",
        _TAG,
        "MovedAlias",
        "AliasMove",
        "PUT",
        of=_NAME,
        asked=(_ALIAS,),
        errors=(*_BODY, 409, 424, 501),
    ),
    "aliases_rollback": Control(
        "Roll an alias back",
        "It means what it meant before the last move; a second time, what it meant before that.",
        _TAG,
        "MovedAlias",
        "AliasRollback",
        "POST",
        of=_NAME,
        asked=(_ALIAS,),
        errors=(*_BODY, 409, 424, 501),
    ),
    "aliases_delete": Control(
        "Delete an alias",
        "`NAME@ALIAS` answers nobody from now on.",
        _TAG,
        "MovedAlias",
        method="DELETE",
        of=_NAME,
        asked=(
            _ALIAS,
            _REASON,
            query("if_current", whole("Refused unless it points there now.", least=1)),
        ),
        errors=(400, 409),
    ),
}

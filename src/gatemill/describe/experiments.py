"""What the document says of experiments. Rule: a row for each route, in the order of the page."""

from __future__ import annotations

from gatemill.describe.control import Control, path_parameter, query
from gatemill.describe.words import string, whole, word

_TAG = "Experiments"
_BODY = (400, 408, 413, 415)
_ONE = path_parameter("experiment_id", "The experiment's id, or its name.", "shorter-answers")
_LIMIT = query("limit", whole("Most entries; 100 by default.", least=1, most=500))
_STATES = ("draft", "running", "paused", "concluded")

ROUTES: dict[str, Control] = {
    "experiments_create": Control(
        "Make an experiment",
        "A draft: nobody meets it before it is started. Every arm is checked now: its model, its prompt,"
        " its parameters.",
        _TAG,
        "Experiment",
        "ExperimentNew",
        "POST",
        201,
        errors=(*_BODY, 409),
    ),
    "experiments": Control(
        "List experiments",
        "The newest first.",
        _TAG,
        "ExperimentList",
        asked=(
            _LIMIT,
            query("after", string("The id of the last entry that you have.")),
            query("state", word("Only these.", *_STATES)),
        ),
        errors=(400,),
    ),
    "experiment": Control("Show an experiment", "One experiment.", _TAG, "Experiment", of=_ONE),
    "experiments_update": Control(
        "Change the weights",
        "Arms that are left out keep theirs. Only the callers whose share moves change their arm. An arm"
        " that a guardrail has stopped goes on when it gets a weight again.",
        _TAG,
        "Experiment",
        "ExperimentChange",
        "PATCH",
        of=_ONE,
        errors=(*_BODY, 409),
    ),
    "experiments_delete": Control(
        "Delete an experiment",
        "With its outcomes. Refused while it runs or is paused.",
        _TAG,
        "DeletedExperiment",
        method="DELETE",
        of=_ONE,
        errors=(409,),
    ),
    "experiments_start": Control(
        "Start an experiment",
        "Callers of its model are split from now on: here at once, in other processes within a second. Goes"
        " on with a paused one. Refused where another experiment splits the same model.",
        _TAG,
        "Experiment",
        "ExperimentStart",
        "POST",
        of=_ONE,
        errors=(*_BODY, 409),
    ),
    "experiments_pause": Control(
        "Pause an experiment",
        "The first arm answers everybody, and outcomes do not count.",
        _TAG,
        "Experiment",
        "ExperimentPause",
        "POST",
        of=_ONE,
        errors=(*_BODY, 409),
    ),
    "experiments_conclude": Control(
        "Conclude an experiment",
        "The winner answers everybody until the experiment is deleted; the first arm does where none is"
        " named.",
        _TAG,
        "Experiment",
        "ExperimentConclusion",
        "POST",
        of=_ONE,
        errors=(*_BODY, 409),
    ),
    "experiments_results": Control(
        "Show results",
        "What is known of each arm, and for every two arms the interval in which the difference lies with 95 %"
        " probability, however often you look. Costs, errors, latency and tokens are counted by"
        " themselves.",
        _TAG,
        "ExperimentResults",
        of=_ONE,
    ),
    "experiments_events": Control(
        "Show changes",
        "Who changed what and why, the newest first; `guardrail` is the server itself.",
        _TAG,
        "ExperimentEventList",
        of=_ONE,
        asked=(_LIMIT, query("before", whole("Only versions before this one.", least=1))),
        errors=(400,),
    ),
    "experiments_assignment": Control(
        "Show an arm",
        "The arm that a unit gets. Any key that may call the model may ask.",
        _TAG,
        "ExperimentAssignment",
        of=_ONE,
        asked=(query("unit", string("Id of the key, the user or the conversation.")),),
        errors=(400,),
    ),
    "feedback": Control(
        "Send an outcome",
        "Of an answer, by its `request_id`; or of a unit of an experiment. Said again for the same request and"
        " metric, the later value counts. Where no experiment runs the answer says `counted: false`, and"
        " is no error.",
        _TAG,
        "FeedbackTold",
        "FeedbackNew",
        "POST",
        202,
        errors=(*_BODY, 404, 422, 429),
    ),
}

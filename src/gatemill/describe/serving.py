"""What the document says of local models. Rule: a row for each route, in the order of the page."""

from __future__ import annotations

from gatemill.describe.control import Control, path_parameter

_TAG = "Models of one's own"
_HERE = " It tells of the process that answers."
_NAME = path_parameter(
    "name", "Name of a model of [local], or of a version of the registry.", "minilm"
)

ROUTES = {
    "runners": Control(
        "List the models that run here",
        "Each with its state, its memory and who waits for it." + _HERE,
        _TAG,
        "RunnerList",
    ),
    "models_load": Control(
        "Load a model",
        "Answers when it is loaded and has answered a first request. Without it, a model is loaded by"
        " the first request that needs it." + _HERE,
        _TAG,
        "Runner",
        method="POST",
        of=_NAME,
        errors=(424, 501),
    ),
    "models_unload": Control(
        "Unload a model",
        "Answers when its last request is over and its memory is given back. The next request loads"
        " it again." + _HERE,
        _TAG,
        "Runner",
        method="POST",
        of=_NAME,
    ),
}

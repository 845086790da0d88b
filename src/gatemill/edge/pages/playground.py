"""/ui/playground: a model, or two side by side, asked on the account of whoever is signed in.

Rule: POST /ui/playground/chat is the only inference that takes a cookie. It goes the way of every request,
as the key of the session: scopes, limits, budgets and the ledger hold as they do for that key elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.edge import access, hot
from gatemill.edge.acting import acting
from gatemill.edge.admin.clerk import Clerk
from gatemill.edge.asgi import WorkResponse
from gatemill.edge.jobs.counter import Counter
from gatemill.edge.pages.frame import Data, Page, Visit
from gatemill.local.builtin import cards
from gatemill.local.builtin.engine import Builtins

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from gatemill.core.call import Target
    from gatemill.core.ports import Json
    from gatemill.edge.application import Application
    from gatemill.edge.shown import Shown

PATH = "/ui/playground"
_FORMATS = frozenset(("chat", "messages", "responses"))  # a target that speaks one can chat
MODELS_MAX = 500


def add(app: Application, shown: Shown) -> None:
    """The route that the page asks; its body and its answers are those of /v1/chat/completions."""
    counter = Counter(Clerk(shown), shown)

    async def chat(request: Request) -> Response:
        body = await counter.body(request)
        gateway, caller = acting(shown.door.gateway, request, access.key_of(request))
        return WorkResponse(shown.door, hot.respond(gateway, "chat", body, caller))

    app.add_api_route(
        PATH + "/chat", chat, methods=["POST"], name="ui_chat", include_in_schema=False
    )


async def _data(visit: Visit) -> Data:
    url = visit.shown.door.signin.terms.public_url or str(visit.request.base_url).rstrip("/")
    models = chat_models(visit)
    own = {each["name"] for each in models if _is_own(each)}
    # In the order of the file: what somebody wrote first is most likely what they want to try.
    first = next((name for name in visit.gateway.routes.exact if name in own), "echo")
    return {
        "models": models,
        "first": first,
        "url": f"{url}/v1",
        "account": _account(visit),
    }


def chat_models(visit: Visit) -> list[Json]:
    """Names that answer a chat, of those that the key may use."""
    visible = visit.gateway.routes.visible(visit.key)
    return [
        {"name": route.name, "targets": [target.label for target in route.targets]}
        for route in sorted(visible.values(), key=lambda one: one.name)
        if route.leads or any(map(_chats, route.targets))
    ][:MODELS_MAX]


def _chats(target: Target) -> bool:
    if isinstance(target.transport, Builtins):
        card = cards.CARDS.get(target.model)
        return card is not None and card.task == "generate"
    native = target.settings.native
    return bool(_FORMATS & (target.dialect.NATIVE if native is None else native))


def _is_own(model: Json) -> bool:
    """It leads somewhere else than to what every gateway has."""
    return not all(label.startswith(("echo/", "builtin/")) for label in model["targets"])


def _account(visit: Visit) -> Json:
    """Who pays, or why nobody can."""
    key = visit.key
    refusal = ""
    if visit.ledger.keys.by_id(key.id) is None:
        refusal = "identity_provider"
    elif not key.may("inference"):
        refusal = "scope"
    return {"key_id": key.id, "key_name": key.name, "refusal": refusal}


PAGE = Page(PATH, "Playground", "playground.html", _data)

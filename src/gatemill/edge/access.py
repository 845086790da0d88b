"""Who may call which route: one table, and the one place that asks it.

Rule: a route that is not in the table cannot be added, and no handler runs before its row was asked.
Nothing here reads the URL: what a route needs belongs to the route that was found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gatemill.core.errors import NotFound
from gatemill.edge import sides
from gatemill.edge.arrival import bearer
from gatemill.gateway.identify import identify, permit
from gatemill.observe.redaction import hide

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from starlette.requests import HTTPConnection, Request

    from gatemill.core.call import Key
    from gatemill.edge.shown import Shown

_KEY_PROTOCOL = "gatemill-key."
_ASKED_MAX, _WORD_CHARS_MAX = 20, 200  # of a query, in the audit log
# Of a request that comes from this machine, and was passed on for somebody who may be anywhere.
_PROXIES = {b"x-forwarded-for", b"x-real-ip", b"forwarded", b"via"}
KEY = "gatemill.key"  # of the scope: whose request it is; absent where nobody was asked for


class Access(NamedTuple):
    """What a route needs of whoever calls it."""

    scopes: tuple[str, ...] = ()  # any of these is enough; none: it is open to everybody
    plane: str = "public"  # the listeners that answer it, see sides.py
    cookie: bool = False  # somebody who is signed in may call it from a browser
    keyed: bool = False  # with a cookie only where that stands for a key: it is on its account
    at_home: bool = False  # needs nothing where nobody but this machine can reach the server
    noted: bool = False  # its entry in the audit log is written here, as its change writes none
    stage: bool = False  # the gateway's first stage asks for the key, on every way of a request


OPEN = Access(plane="both")
PAGE = Access(plane="admin")  # of the browser; it looks at the cookie itself
ASKS = Access(("inference",), stage=True)
INFERENCE = Access(("inference",))
# What a page of the dashboard asks on the account of whoever is signed in.
ASKED_BY_PAGE = Access(("inference",), "admin", cookie=True, keyed=True)
SUBMITTED_BY_PAGE = Access(("jobs",), "admin", cookie=True, keyed=True)
SEARCHED_BY_PAGE = Access(("knowledge",), "admin", cookie=True, keyed=True)
MODELS = Access(("inference", "admin:read"), "both", cookie=True)
JOBS = Access(("jobs",))
JOBS_SEEN = Access(("jobs", "admin:read"), "both", cookie=True)
JOBS_CHANGED = Access(("jobs",), "both", cookie=True)
KNOWLEDGE = Access(("knowledge",))
FEATURES = Access(("features",))
FEATURES_SEEN = Access(("features", "admin:read"), "both", cookie=True)
USAGE = Access(("usage", "admin:read"), "both", cookie=True)
ADMIN = Access(("admin",), "admin", cookie=True)
ADMIN_NOTED = ADMIN._replace(noted=True)
ADMIN_READ = Access(("admin:read",), "admin", cookie=True)


def _each(access: Access, names: str) -> dict[str, Access]:
    return dict.fromkeys(names.split(), access)


ROUTES: dict[str, Access] = {
    **_each(OPEN, "livez readyz"),
    **_each(
        PAGE, "docs openapi ui_page ui_static login login_send login_start login_return logout"
    ),
    "metrics": ADMIN_READ._replace(at_home=True),
    **_each(
        ASKS,
        "chat completions embeddings responses messages count_tokens inference predict predict_text"
        " rerank moderations",
    ),
    **_each(INFERENCE, "explain feedback chat_stream"),
    "ui_chat": ASKED_BY_PAGE,
    **_each(SUBMITTED_BY_PAGE, "ui_jobs_create ui_webhooks_create"),
    "ui_rag": SEARCHED_BY_PAGE,
    **_each(MODELS, "models model experiments_assignment"),
    **_each(
        JOBS,
        "jobs_create predict_batch tasks_chat batch_predict files files_create files_delete file"
        " file_content batches batches_create batches_cancel batch webhooks_secret"
        " webhooks_secret_rotate webhooks_create webhooks_test_url",
    ),
    **_each(
        JOBS_SEEN,
        "jobs job jobs_events dead_letters dead_letter response task batch_result webhooks webhook"
        " webhooks_deliveries webhooks_delivery",
    ),
    **_each(
        JOBS_CHANGED,
        "jobs_cancel dead_letters_replay dead_letter_replay dead_letter_purge dead_letters_purge"
        " responses_delete responses_cancel tasks_cancel webhooks_update webhooks_delete"
        " webhooks_rotate webhooks_test webhooks_resend",
    ),
    **_each(
        KNOWLEDGE,
        "vector_stores vector_stores_create vector_stores_update vector_stores_delete vector_store"
        " vector_store_files vector_store_files_create vector_store_files_update"
        " vector_store_files_delete vector_store_file vector_store_file_content"
        " vector_store_batches_create vector_store_batches_cancel vector_store_batch"
        " vector_store_batch_files vector_store_documents_create vector_store_search rag_query",
    ),
    "features_write": FEATURES,
    **_each(FEATURES_SEEN, "features_read features_log"),
    **_each(USAGE, "usage usage_summary requests requests_explain limits"),
    **_each(
        ADMIN_READ,
        "runners registry models_events versions version compare experiments experiment"
        " experiments_results experiments_events feature_sets feature_set recordings recording"
        " config_versions keys key logs teams team users user budgets audit alerts queues ui_twin ui_live",
    ),
    **_each(
        ADMIN,
        "models_create models_update models_delete versions_create versions_archive"
        " versions_render aliases_move aliases_delete aliases_rollback experiments_create"
        " experiments_update experiments_delete experiments_start experiments_pause"
        " experiments_conclude keys_create keys_rotate keys_update keys_revoke"
        " teams_create teams_update teams_delete users_create users_update users_delete data_purge",
    ),
    **_each(
        ADMIN_NOTED,
        "models_load models_unload feature_sets_put feature_sets_delete recordings_delete"
        " recording_delete config_reload queues_pause queues_resume",
    ),
}


def of(name: str) -> Access:
    """What a route needs. Raises LookupError for one that nobody has decided about."""
    found = ROUTES.get(name)
    if found is None:
        raise LookupError(f"The route {name!r} has no row in edge/access.py: who may call it?")
    return found


def scopes_of(name: str) -> tuple[str, ...]:
    """Any of these is enough for a route; none: it is open to everybody. Raises as `of`."""
    return of(name).scopes


def secret_of(scope: Mapping[str, Any]) -> bytes:
    """The key that a request carries, in whichever header; b"" for none."""
    found = dict(scope["headers"])
    secret = bearer(found.get(b"authorization", b"")) or found.get(b"x-api-key", b"")
    if not secret and scope["type"] == "websocket":
        # Browsers cannot set headers on a WebSocket; they can offer subprotocols.
        for offered in scope.get("subprotocols", ()):
            if offered.startswith(_KEY_PROTOCOL):
                return str(offered).removeprefix(_KEY_PROTOCOL).encode()
    return secret


async def check(shown: Shown, request: HTTPConnection, access: Access) -> None:
    """The request may go on, and its scope holds the key.

    Raises NotFound on a listener that does not answer such routes, InvalidApiKey, PermissionDenied.
    """
    scope = request.scope
    if not sides.serves(scope, access.plane):
        raise NotFound("There is no such path. GET /docs lists all.")
    if not access.scopes or access.stage:
        return
    if access.at_home and shown.open_metrics and not _PROXIES & dict(scope["headers"]).keys():
        return
    gateway = shown.door.gateway
    secret = secret_of(scope)
    key: Key | None = None
    if not secret and access.cookie:
        key = await shown.door.signin.key(request)
        if key is not None and access.keyed:
            shown.door.signin.check_account(key)
    if key is None:
        key = identify(gateway.keys, secret, gateway.clock.unix_s())
    permit(key, *access.scopes)
    scope[KEY] = key


async def note(shown: Shown, request: Request, name: str) -> None:
    """It is in the audit log that the key of this request has used the route `name`."""
    kind, _, action = name.rpartition("_")
    asked = list(request.query_params.items())[:_ASKED_MAX]
    await shown.door.signin.ledger.people.note(
        key_of(request).id,
        action,
        kind.removesuffix("s"),
        ",".join(request.path_params.values()),
        {hide(word)[:_WORD_CHARS_MAX]: hide(value)[:_WORD_CHARS_MAX] for word, value in asked},
    )


def key_of(request: HTTPConnection) -> Key:
    """Whose request it is; its route has asked."""
    key: Key = request.scope[KEY]
    return key

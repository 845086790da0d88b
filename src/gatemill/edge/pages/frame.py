"""What all pages have around them: who is signed in, the navigation, the twin, failures in words.

Rule: whoever is not signed in is sent to /ui/login; whoever is needs the scope admin:read. Changes are no part
of a page: its buttons call the routes of the control plane, which ask for their own scopes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

import msgspec
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatemill.core.errors import GatemillError, NotFound
from gatemill.core.version import VERSION
from gatemill.edge import access
from gatemill.edge.admin.bodies import Asked
from gatemill.gateway.identify import permit
from gatemill.ui import assets
from gatemill.ui.rendering import HEADERS, POLICY, render

if TYPE_CHECKING:
    from starlette.requests import Request

    from gatemill.core.call import Key
    from gatemill.edge.application import Application
    from gatemill.edge.shown import Shown
    from gatemill.gateway.parts import Gateway
    from gatemill.ledger.ledger import Ledger

HOME = "/ui"
LOGIN = "/ui/login"
_TWIN = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
_THEMES = ("light", "dark")
_encode = msgspec.json.Encoder(decimal_format="string").encode


def path_of(request: Request) -> str:
    """The path of a request as an address has it: a name in it may hold a "?"."""
    return quote(request.scope["path"], safe="/")


class Visit:
    """What a page is asked with."""

    def __init__(self, shown: Shown, request: Request, key: Key, names: tuple[str, ...]) -> None:
        """`names` are the words that the page's query may hold. Raises UnsupportedParameter."""
        self.shown = shown
        self.request = request
        self.key = key  # whose visit it is: a key with admin:read
        self.asked = Asked(request, *names)

    @property
    def gateway(self) -> Gateway:
        """The one that serves now."""
        return self.shown.door.gateway

    @property
    def ledger(self) -> Ledger:
        """Keys, usage, jobs."""
        return self.shown.door.signin.ledger

    @property
    def now_s(self) -> float:
        """Unix time."""
        return self.gateway.clock.unix_s()

    def called(self, owner: str) -> str:
        """What people call an owner of jobs, webhooks or stores; a key by its name."""
        kind, _, owner_id = owner.partition(":")
        key = self.ledger.keys.by_id(owner_id) if kind == "key" else None
        return key.name if key is not None else owner_id or owner

    def link(self, **changed: Any) -> str:
        """The address of this page with some of its query changed; "" or None takes a name out."""
        query = {**self.request.query_params, **changed}
        kept = {name: value for name, value in query.items() if value not in ("", None)}
        path = path_of(self.request).removesuffix(".json")
        return f"{path}?{urlencode(kept)}" if kept else path


Data = dict[str, Any]


class Page(NamedTuple):
    """One page."""

    path: str  # with {parameters}; those are given to `data` by name
    title: str  # in the navigation, and of the page unless its data says `title`
    template: str
    data: Callable[..., Awaitable[Data]]  # (visit, **parameters)
    asks: tuple[str, ...] = ()  # names that its query may hold
    hidden: bool = False  # reached from other pages, not from the navigation


class Group(NamedTuple):
    """Pages below one heading of the navigation."""

    name: str
    pages: tuple[Page, ...]


class Frame:
    """One for an application."""

    def __init__(self, shown: Shown, groups: tuple[Group, ...]) -> None:
        self._shown = shown
        self._groups = groups
        self._navigation = [
            {"name": group.name, "pages": [page for page in group.pages if not page.hidden]}
            for group in groups
            if any(not page.hidden for page in group.pages)
        ]

    def add(self, app: Application) -> None:
        """The routes of all pages, of their twins and of the static files."""
        app.add_api_route(
            assets.PATH + "/{digest}/{name}",
            _file,
            methods=["GET"],
            name="ui_static",
            include_in_schema=False,
        )
        for group in self._groups:
            for page in group.pages:
                self._add_page(app, page)

    def _add_page(self, app: Application, page: Page) -> None:
        async def as_html(request: Request, **parameters: str) -> Response:
            return await self._html(page, request, parameters)

        async def as_json(request: Request, **parameters: str) -> Response:
            visit = Visit(self._shown, request, access.key_of(request), page.asks)
            data = await page.data(visit, **parameters)
            return Response(_encode(data), 200, _TWIN, "application/json")

        # The twin first: a parameter of the page would take its ending for a part of itself.
        twin = "/ui/overview" if page.path == HOME else page.path
        for path, handle, name in (
            (f"{twin}.json", as_json, "ui_twin"),
            (page.path, as_html, "ui_page"),
        ):
            app.add_api_route(path, handle, methods=["GET"], name=name, include_in_schema=False)

    async def _html(self, page: Page, request: Request, parameters: dict[str, str]) -> Response:
        found = await self._shown.door.signin.session(request)
        if found is None:
            back = path_of(request) + (f"?{request.url.query}" if request.url.query else "")
            to = LOGIN if back == HOME else f"{LOGIN}?next={quote(back, safe='/')}"
            return RedirectResponse(to, 303, HEADERS)
        context = self._around(page, request, *found)
        try:
            permit(found[1], "admin:read")
            visit = Visit(self._shown, request, found[1], page.asks)
            data = await page.data(visit, **parameters)
        except GatemillError as error:
            told = {"message": error.message, "status": error.status, "code": error.code}
            context |= {"title": "This did not work", "twin": "", **told}
            text = render("failure.html", context, self._now_s)
            return HTMLResponse(text, error.status, HEADERS)
        context |= {"title": data.get("title", page.title), "data": data}
        context |= {"link": visit.link, "called": visit.called}
        return HTMLResponse(render(page.template, context, self._now_s), headers=HEADERS)

    def _around(self, page: Page, request: Request, session: Any, key: Key) -> dict[str, Any]:
        """What the frame of a page shows."""
        signin = self._shown.door.signin
        theme = request.cookies.get("gatemill-theme", "")
        path = path_of(request)
        twin = "/ui/overview.json" if path == HOME else f"{path}.json"
        return {
            "title": page.title,
            "who": {
                "name": session.subject or f"{key.name} ({key.id})",
                "rights": ", ".join(key.scopes),
                "form_token": signin.form_token(request.cookies[signin.cookie]),
                "may_change": key.may("admin"),
                "key": key,
            },
            "navigation": self._navigation,
            "current": self._current(page),
            "twin": f"{twin}?{request.url.query}" if request.url.query else twin,
            "theme": theme if theme in _THEMES else "",
            "version": VERSION,
        }

    def _current(self, page: Page) -> str:
        """The entry of the navigation that the page belongs to."""
        if not page.hidden:
            return page.path
        above = [
            other.path
            for group in self._groups
            for other in group.pages
            if not other.hidden and other.path != HOME and page.path.startswith(f"{other.path}/")
        ]
        return max(above, key=len, default="")

    @property
    def _now_s(self) -> float:
        return self._shown.door.gateway.clock.unix_s()


async def _file(_request: Request, digest: str, name: str) -> Response:
    asset = assets.known().get(name)
    if asset is None or asset.digest != digest:
        raise NotFound("There is no such file. Load the page again.")
    headers: Mapping[str, str] = {
        "cache-control": assets.FOR_EVER,
        "content-security-policy": POLICY,
        "x-content-type-options": "nosniff",
    }
    return Response(asset.content, 200, headers, asset.media_type)

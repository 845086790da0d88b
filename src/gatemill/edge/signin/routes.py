"""/ui: signing in, signing out, and who one is.

Rule: a new secret with every sign-in, so that none can be foisted on somebody; a wrong key and an ended
one look alike. Whoever has signed in goes on to a page of ours, and nowhere else.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatemill import describe
from gatemill.core.errors import (
    GatemillError,
    InvalidApiKey,
    NotFound,
    PermissionDenied,
    RateLimited,
    RequestTooLarge,
)
from gatemill.edge.signin import pages

if TYPE_CHECKING:
    from gatemill.edge.application import Application
    from gatemill.edge.shown import Shown
    from gatemill.edge.signin.desk import SignIn
    from gatemill.edge.signin.oidc import Provider
    from gatemill.ledger.sessions import Person

PATH = "/ui"
LOGIN = PATH + "/login"
FORM_BYTES_MAX = 4096
SEED_S = 600  # for which somebody may be at the identity provider
NEXT_CHARS_MAX = 1_000  # of the page to go on to
TOKEN_CHARS_MAX = 100
_OURS = re.compile(r"/ui(/(?!/)[!-\[\]-~]*)?(\?[!-\[\]-~]*)?", re.ASCII)
_FIELDS_MAX = 4
_KEY_IS_NONE = "This key is not known here, or has ended."
_LINK_IS_OVER = "This link was used already, or has ended. Make another with: gatemill ui. Or sign in with a key."


def add(app: Application, shown: Shown) -> None:
    """The routes."""
    _add_pages(app, shown)
    _add_changes(app, shown)
    _add_provider(app, shown)


def _add_pages(app: Application, shown: Shown) -> None:
    async def login(request: Request) -> Response:
        signin, asked = shown.door.signin, request.query_params
        onward_to = _onward(asked.get("next", ""))
        token = asked.get("token", "")
        if token:
            text = pages.link(token[:TOKEN_CHARS_MAX], onward_to)
            return HTMLResponse(text, headers=pages.LINK_HEADERS)
        if await signin.session(request) is not None:
            return _to(onward_to or PATH)
        return _login_page(signin, onward_to=onward_to)

    app.add_api_route(
        LOGIN, login, methods=["GET"], include_in_schema=False, **describe.route("login")
    )


def _add_changes(app: Application, shown: Shown) -> None:
    async def send(request: Request) -> Response:
        signin, onward_to = shown.door.signin, ""
        try:
            said = await _form(request)
            onward_to = _onward(said.get("next", ""))
            _check_own(signin, request)
            person = await _tried(signin, request, said)
        except RateLimited as error:
            await _failed(signin, request, error)
            return _login_page(signin, error, onward_to)
        except GatemillError as error:
            return _login_page(signin, error, onward_to)
        return await _signed_in(signin, request, person, _to(onward_to or PATH))

    async def logout(request: Request) -> Response:
        signin = shown.door.signin
        found = await signin.session(request)
        if found is not None:
            said = await _form(request)
            if not (signin.is_own(request) and signin.holds_token(request, said.get("token", ""))):
                raise PermissionDenied("Sign out with the button of our own page: GET /ui.")
            await signin.ledger.sessions.end(found[0])
        answer = _to(LOGIN)
        answer.delete_cookie(signin.cookie, secure=signin.is_secure, httponly=True)
        return answer

    for path, handler, name in (
        (LOGIN, send, "login_send"),
        (PATH + "/logout", logout, "logout"),
    ):
        app.add_api_route(
            path, handler, methods=["POST"], include_in_schema=False, **describe.route(name)
        )


def _add_provider(app: Application, shown: Shown) -> None:
    async def start(request: Request) -> Response:
        signin = shown.door.signin
        seed = secrets.token_urlsafe(32)
        try:
            answer = _to(await _provider(signin).start(seed))
        except GatemillError as error:
            return _login_page(signin, error)
        _keep(signin, answer, _seed(signin), seed)
        onward_to = _onward(request.query_params.get("next", ""))
        if onward_to:
            _keep(signin, answer, _after(signin), quote(onward_to, safe=""))
        return answer

    async def back(request: Request) -> Response:
        signin = shown.door.signin
        try:
            person = await _returned(signin, request)
        except GatemillError as error:
            answer = _login_page(signin, error)
        else:
            onward_to = _onward(unquote(request.cookies.get(_after(signin), "")))
            page = _page(pages.onward(onward_to or PATH))
            answer = await _signed_in(signin, request, person, page)
        for name in {_seed(signin), _after(signin)} & request.cookies.keys():
            answer.delete_cookie(name, secure=signin.is_secure, httponly=True, samesite="lax")
        return answer

    for path, handler, name in (
        (LOGIN + "/oidc", start, "login_start"),
        (LOGIN + "/return", back, "login_return"),
    ):
        app.add_api_route(
            path, handler, methods=["GET"], include_in_schema=False, **describe.route(name)
        )


def _provider(signin: SignIn) -> Provider:
    provider = signin.terms.provider
    if provider is None:
        raise NotFound("No identity provider is configured here: see auth.oidc.")
    return provider


def _seed(signin: SignIn) -> str:
    return f"{signin.cookie}-oidc"


def _keep(signin: SignIn, answer: Response, name: str, value: str) -> None:
    """The browser has it while its person is at the identity provider."""
    # Lax: the way back comes from another site.
    answer.set_cookie(name, value, SEED_S, secure=signin.is_secure, httponly=True, samesite="lax")


def _after(signin: SignIn) -> str:
    return f"{signin.cookie}-next"


def _onward(to: str) -> str:
    """The page of ours that was asked for; "" for none, and for any other address."""
    is_ours = len(to) <= NEXT_CHARS_MAX and _OURS.fullmatch(to) is not None
    return to if is_ours and not to.startswith(LOGIN) and "/.." not in unquote(to) else ""


# --- One try -----------------------------------------------------------------------------------------


async def _tried(signin: SignIn, request: Request, said: dict[str, str]) -> Person:
    """Who comes with this form: with a key, or with a link.

    Raises RateLimited, InvalidApiKey, PermissionDenied; failures are counted.
    """
    _check_wait(signin, request)
    token = said.get("link", "")
    try:
        return await signin.bearer(token) if token else signin.person(said.get("key", ""))
    except InvalidApiKey:
        error = InvalidApiKey(_LINK_IS_OVER if token else _KEY_IS_NONE)
        await _failed(signin, request, error)
        raise error from None
    except PermissionDenied as error:
        await _failed(signin, request, error)
        raise


async def _returned(signin: SignIn, request: Request) -> Person:
    """Who comes back from the identity provider. Raises as `_tried`, and UpstreamError."""
    provider, asked = _provider(signin), request.query_params
    seed, state = request.cookies.get(_seed(signin), ""), asked.get("state", "")
    # Before anything is counted: any page can send a browser here, and must not lock people out.
    provider.check_begun(seed, state)
    try:
        _check_wait(signin, request)
        return await provider.finish(seed, state, asked.get("code", ""))
    except GatemillError as error:
        await _failed(signin, request, error)
        raise


async def _signed_in(
    signin: SignIn, request: Request, person: Person, answer: Response
) -> Response:
    """`answer`, with the cookie of a new session; an older one of this browser ends."""
    older = await signin.session(request)
    if older is not None:
        await signin.ledger.sessions.end(older[0])
    address = _address(request)
    try:
        secret = await signin.ledger.sessions.begin(person, signin.terms.patience, address)
    except GatemillError as error:
        return _login_page(signin, error)
    signin.attempts.succeeded(address)
    signin.counted("ok")
    lifetime_s = int(signin.terms.patience.lifetime_s)
    answer.set_cookie(
        signin.cookie,
        secret,
        lifetime_s,
        secure=signin.is_secure,
        httponly=True,
        samesite="strict",
    )
    return answer


async def _failed(signin: SignIn, request: Request, error: GatemillError) -> None:
    if isinstance(error, RateLimited):
        signin.counted("limited")
        return
    signin.counted("refused")
    address = _address(request)
    if signin.attempts.failed(address, signin.now_s):
        await signin.ledger.sessions.refused(address, error.code)


def _check_wait(signin: SignIn, request: Request) -> None:
    wait_s = signin.attempts.wait_s(_address(request), signin.now_s)
    if wait_s:
        raise RateLimited(
            f"Too many tries. Try again in {wait_s / 60:.0f} minutes.", retry_after_s=wait_s
        )


def _check_own(signin: SignIn, request: Request) -> None:
    if not signin.is_own(request):
        raise PermissionDenied("Sign in with the form of our own page.")


def _address(request: Request) -> str:
    return request.client.host if request.client is not None else ""


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form. Raises RequestTooLarge, PermissionDenied."""
    data = b""
    async for piece in request.stream():
        data += piece
        if len(data) > FORM_BYTES_MAX:
            raise RequestTooLarge(f"The form exceeds {FORM_BYTES_MAX} bytes.")
    try:
        return dict(parse_qsl(data.decode("ascii"), max_num_fields=_FIELDS_MAX))
    except ValueError:
        raise PermissionDenied("This is not the form of our own page.") from None


# --- Answers -----------------------------------------------------------------------------------------


def _page(text: str, status: int = 200) -> Response:
    return HTMLResponse(text, status, pages.HEADERS)


def _login_page(
    signin: SignIn, error: GatemillError | None = None, onward_to: str = ""
) -> Response:
    has_provider = signin.terms.provider is not None
    problem = "" if error is None else error.message
    text = pages.login(problem, has_provider=has_provider, onward_to=onward_to)
    if error is None:
        return _page(text)
    answer = _page(text, error.status)
    if error.retry_after_s is not None:
        answer.headers["retry-after"] = str(int(error.retry_after_s) + 1)
    return answer


def _to(url: str) -> Response:
    return RedirectResponse(url, 303, pages.HEADERS)

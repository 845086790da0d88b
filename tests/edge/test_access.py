"""Who may call what: every route, every kind of caller, every way to write a path.

One server and one kept connection for each caller. GATEMILL_TEST_HEAVY=1 asks for every route in every
spelling; by default each route is asked for in a few, which differ from route to route.
"""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import asynccontextmanager
from time import time
from typing import NamedTuple

import pytest
import pytest_asyncio

from gatemill.core import scopes
from gatemill.core.call import Key
from gatemill.core.errors import PermissionDenied
from gatemill.edge import access
from gatemill.edge import app as application
from gatemill.edge.application import Application
from gatemill.edge.shown import Shown
from gatemill.gateway.identify import permit
from house_for_tests import opened

PLACES = re.compile(r"\{[^}]+\}")
SCOPED = {name: scopes.ordered([name]) for name in scopes.ALL}
PATIENCE_S = 60.0
SPELLINGS_OF_ONE = 3  # by default
IS_HEAVY = os.environ.get("GATEMILL_TEST_HEAVY") == "1"


class Answer(NamedTuple):
    status: int
    head: bytes
    body: bytes


class Wire:
    """A kept connection, on which requests are sent as they are written here."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams = None

    async def __call__(self, method: str, target: str, *lines: str, body: str = "") -> Answer:
        try:
            return await self._ask(method, target, *lines, body=body)
        except (asyncio.IncompleteReadError, ConnectionError):  # it was closed after an answer
            await self.close()
            return await self._ask(method, target, *lines, body=body)

    async def _ask(self, method: str, target: str, *lines: str, body: str = "") -> Answer:
        sent = [f"{method} {target} HTTP/1.1", *lines, f"content-length: {len(body)}"]
        if not any(line.lower().startswith("host:") for line in lines):
            sent.insert(1, "host: 127.0.0.1")
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(("\r\n".join(sent) + "\r\n\r\n" + body).encode("latin-1"))
        async with asyncio.timeout(PATIENCE_S):
            head = await reader.readuntil(b"\r\n\r\n")
            size = re.search(rb"content-length: (\d+)", head.lower())
            if b"text/event-stream" in head:  # it may go on for ever
                data = b""
                await self.close()
            elif size is None or b"connection: close" in head.lower():
                data = await reader.read() if method != "HEAD" else b""
                await self.close()
            else:
                data = await reader.readexactly(int(size[1])) if method != "HEAD" else b""
        return Answer(int(head[9:12]), head, data)

    async def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def routes():
    """Every route of the application: method, path and what it needs."""
    shown = Shown(healthy=lambda: True, open_metrics=False)
    built = application.build(shown, with_docs=True)
    assert isinstance(built, Application)
    return [(method, path, needed) for (method, path), needed in built.accesses.items()]


ROUTES = routes()


class Site(NamedTuple):
    """A server, and the lines that say who asks."""

    port: int
    lines: dict[str, tuple[str, ...]]
    held: dict[str, tuple[str, ...]]  # scopes by caller; without the names that have no valid key

    @asynccontextmanager
    async def wire(self):
        wire = Wire(self.port)
        try:
            yield wire
        finally:
            await wire.close()


# These ask for every route, the others for a part of them by default.
WHOLE = ("nobody", "low", "reader", "admin", "cookie")
CALLERS = (*WHOLE, "wrong", "revoked", "expired", "default", *(s for s in SCOPED if s != "admin"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory):
    async with opened(tmp_path_factory.mktemp("access")) as home:
        home.shown.open_metrics = False
        ledger = home.home.ledger
        keys = {"admin": home.key}
        held = {"admin": scopes.ALL}
        expired = await ledger.create_key("expired", expires_s=time() + 0.001)
        for name, given in {
            "low": (),
            "default": scopes.DEFAULT,
            "reader": ("admin:read",),
            "revoked": scopes.DEFAULT,
            **SCOPED,
        }.items():
            made = await ledger.create_key(name, scopes=given, admin="admin" in given)
            keys.setdefault(name, made.secret)
            held[name] = given
        revoked = keys["revoked"]
        await ledger.revoke_key(revoked.split("-")[1])
        keys |= {
            "expired": expired.secret,
            "wrong": revoked[:-1] + ("a" if revoked[-1] != "a" else "b"),
        }
        lines = {name: (f"authorization: Bearer {key}",) for name, key in keys.items()}
        lines["nobody"] = ()
        door = home.door
        cookie = await ledger.sessions.begin(
            door.signin.person(keys["reader"]), door.signin.terms.patience, "127.0.0.1"
        )
        lines["cookie"] = (f"cookie: gatemill={cookie}", "sec-fetch-site: same-origin")
        held["cookie"] = ("admin:read",)
        del held["revoked"]
        yield Site(home.port, lines, held)


def concrete(path: str) -> str:
    return PLACES.sub("no-such", path)


def expected(needed: access.Access, caller: str, held: dict[str, tuple[str, ...]]) -> int | None:
    """The refusal that is declared; None: it is let in."""
    if not needed.scopes:
        return None
    if caller not in held or (caller == "cookie" and not needed.cookie):
        return 401
    allowed = "admin" in held[caller] or any(scope in held[caller] for scope in needed.scopes)
    return None if allowed else 403


BODIES = {"POST": "{}", "PUT": "{}", "PATCH": "{}"}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("caller", CALLERS)
async def test_every_route_answers_every_caller_as_the_table_says(site, caller):
    wrong = []
    shown = ROUTES if caller in WHOLE or IS_HEAVY else ROUTES[CALLERS.index(caller) :: 6]
    async with site.wire() as wire:
        for method, path, needed in shown:
            if caller in ("admin", "jobs") and method != "GET" and path.endswith("/reload"):
                continue
            body = "" if method == "GET" else BODIES.get(method, "")
            lines = (*site.lines[caller], *(("content-type: application/json",) if body else ()))
            answer = await wire(method, concrete(path), *lines, body=body)
            said = answer.status if answer.status in (401, 403) else None
            is_page = needed == access.PAGE and "/ui" in path  # these look at the form themselves
            if not is_page and said != expected(needed, caller, site.held):
                wrong.append((method, path, needed.scopes, answer.status))
            if answer.status >= 500:
                wrong.append((method, path, answer))
    assert wrong == []


def spelled(method: str, path: str, at: int):
    """Other ways to write a request for this path, none of which may lead further than the plain one."""
    first, _, rest = path[1:].partition("/")
    upper = path.upper() if path.upper() != path else path + "X"
    last = path[-1]
    targets = (
        "/" + path,
        path.replace("/", "//"),
        path + "/",
        path + "//",
        path + "/.",
        path + "/..",
        f"/{first}/./{rest}",
        f"/x/../{first}/{rest}",
        f"/{first}/%2e%2e/{first}/{rest}",
        f"/{first}%2f{rest}",
        f"/{first}%2F{rest}",
        f"/{first}\\{rest}",
        f"{path[:-1]}%{ord(last):02x}",
        path + "%00",
        path + "%20",
        path + "%0d%0ax-api-key:%20x",
        path + ";admin=true",
        path + "%23",
        path + "%3f",
        path + "?admin=true&key=gm-aaaaaaaaaa-" + "b" * 43,
        path + "#/livez",
        upper,
        f"/livez/../{first}/{rest}",
        f"/livez;/{first}/{rest}",
        f"http://127.0.0.1{path}",
        f"http://livez{path}",
        f"/livez#{path}",
        f"/livez?{path}",
    )
    headers = (
        ("host: 127.0.0.1/#@livez",),
        ("host: 127.0.0.1/livez?",),
        ("host: livez",),
        ("host: x@127.0.0.1",),
        ("host: 127.0.0.1:8700/livez",),
        (f"x-original-url: {path}",),
        ("x-original-url: /livez",),
        ("x-rewrite-url: /livez",),
        ("x-forwarded-for: 127.0.0.1", "x-forwarded-proto: https"),
        ("x-forwarded-host: livez", "x-forwarded-prefix: /livez"),
        ("forwarded: for=127.0.0.1;host=livez",),
        ("x-real-ip: 127.0.0.1",),
        ("x-http-method-override: GET",),
        ("x-method-override: GET", "x-http-method: GET"),
        ("x-gatemill-key: admin", "x-user-id: admin"),
        ("cookie: gatemill=admin; gatemill-admin=true",),
        ("authorization: Basic YWRtaW46YWRtaW4=",),
        ("authorization: Bearer",),
        ("x-api-key:",),
    )
    ways = [(target, ()) for target in targets] + [(path, lines) for lines in headers]
    if IS_HEAVY:
        return ways
    return [ways[(at * SPELLINGS_OF_ONE + i) % len(ways)] for i in range(SPELLINGS_OF_ONE)]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("caller", ["nobody", "low"])
async def test_no_other_spelling_of_a_path_leads_further_than_the_plain_one(site, caller):
    wrong = []
    asked = 0
    async with site.wire() as wire:
        for at, (method, path, needed) in enumerate(ROUTES):
            if not needed.scopes:
                continue
            for target, more in spelled(method, concrete(path), at):
                if target.startswith("/livez") and method == "GET":
                    continue  # that is another path, which is open
                mine = (
                    ()
                    if any(line.startswith("authorization") for line in more)
                    else site.lines[caller]
                )
                body = BODIES.get(method, "")
                answer = await wire(method, target, *more, *mine, body=body)
                asked += 1
                # A twin's address with something behind `.json` is a page's, which leads to signing in.
                to_login = answer.status == 303 and b"\r\nlocation: /ui/login" in answer.head
                leads_to_login = path.startswith("/ui/") and to_login
                if not (400 <= answer.status < 500 or leads_to_login):
                    wrong.append((method, target, more, answer.status))
    assert wrong == []
    assert asked > 300


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PROPFIND", "CONNECT"])
async def test_other_methods_are_refused_on_every_path(site, method):
    paths = {concrete(path) for _, path, _ in ROUTES}
    async with site.wire() as wire:
        for path in sorted(paths) if IS_HEAVY else sorted(paths)[::7]:
            answer = await wire(method, path, *site.lines["admin"])
            assert answer.status in (400, 404, 405), (method, path, answer)


async def test_a_route_that_nobody_has_decided_about_cannot_be_added():
    async def handler():
        raise AssertionError

    app = Application(Shown(healthy=lambda: True, open_metrics=True))
    with pytest.raises(LookupError, match=r"edge/access\.py"):
        app.add_api_route("/v1/new", handler, methods=["GET"], name="new")


def test_the_table_has_no_row_without_a_route():
    shown = Shown(healthy=lambda: True, open_metrics=True)
    built = application.build(shown, with_docs=True)
    used = {about["name"] for _, _, about in built.told}
    hidden = {
        "docs",
        "openapi",
        "ui_page",
        "ui_static",
        "ui_twin",
        "login",
        "login_send",
        "login_start",
        "login_return",
        "ui_chat",
        "ui_live",
        "ui_jobs_create",
        "ui_webhooks_create",
        "ui_rag",
    }
    assert set(access.ROUTES) == used | hidden | {"logout", "chat_stream"}


def test_what_changes_something_is_never_open_to_those_who_may_only_look():
    for method, path, needed in ROUTES:
        if "admin:read" in needed.scopes:
            assert method == "GET" or path == "/v1/features/read", path
        if needed.cookie and method == "POST" and "inference" in needed.scopes:
            assert needed.keyed, path
            assert path == "/ui/playground/chat"


@pytest.mark.parametrize("scope", scopes.ALL)
def test_a_scope_is_enough_for_itself_and_an_admin_has_all(scope):
    permit(Key("k", "k", scopes=(scope,)), scope)
    permit(Key("k", "k", scopes=(), admin=True), scope)
    with pytest.raises(PermissionDenied, match=scope if scope != "admin" else "--admin"):
        permit(Key("k", "k", scopes=()), scope)

"""Signing in with a browser: cookies, whom they stand for, and requests that other sites make up.

Rule: a cookie is worth what its key is worth now, never more than when it was made; it changes nothing
unless the request says that it comes from our own page. The API's inference takes no cookies at all;
what pages ask of models has routes of its own below /ui, and needs a key to pay for it.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from gatemill.core.call import Key
from gatemill.core.errors import InvalidApiKey, PermissionDenied
from gatemill.edge.signin.attempts import Attempts
from gatemill.gateway.identify import check_live, identify
from gatemill.ledger.ledger import Ledger
from gatemill.ledger.sessions import Patience, Person
from gatemill.observe.metrics import Labelled

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import HTTPConnection

    from gatemill.edge.signin.oidc import Provider
    from gatemill.gateway.parts import Gateway
    from gatemill.ledger.sessions import Session

FORM_HEADER = "x-gatemill-form"
_SAFE = ("GET", "HEAD")
_JSON = "application/json"


class Terms(Struct, frozen=True):
    """How people sign in; see docs/settings.md, section auth."""

    public_url: str  # "" where it is not said
    patience: Patience
    provider: Provider | None  # of identities


class SignIn:
    """One for a door. Terms are replaced by a reload."""

    def __init__(self, gateway: Callable[[], Gateway], terms: Terms) -> None:
        """`gateway` is the one that serves now."""
        self._gateway = gateway
        self.terms = terms
        self.attempts = Attempts()
        self._outcomes = {("ok",): 0, ("refused",): 0, ("limited",): 0}
        meter = gateway().meter
        meter.labelled_counters["gatemill_sign_ins"] = Labelled(
            "Tries to sign in with a browser: ok, refused, or limited because too many had failed.",
            ("outcome",),
            lambda: {labels: float(count) for labels, count in self._outcomes.items()},
        )

    @property
    def ledger(self) -> Ledger:
        """Keys and sessions."""
        keys = self._gateway().keys
        assert isinstance(keys, Ledger)
        return keys

    @property
    def is_secure(self) -> bool:
        """Browsers reach us by https, so cookies are for https alone."""
        return self.terms.public_url.startswith("https:")

    @property
    def cookie(self) -> str:
        """The name of the cookie; the prefix makes browsers refuse one that somebody else has set."""
        return "__Host-gatemill" if self.is_secure else "gatemill"

    @property
    def now_s(self) -> float:
        """Unix time."""
        return self._gateway().clock.unix_s()

    def counted(self, outcome: str) -> None:
        """One more try ended so: "ok", "refused" or "limited"."""
        self._outcomes[(outcome,)] += 1

    # --- Who they are ------------------------------------------------------------------------------

    def person(self, secret: str) -> Person:
        """Who comes with this key. Raises InvalidApiKey, and PermissionDenied for a key that may not."""
        key = identify(self._gateway().keys, secret.encode("utf-8", "replace"), self.now_s)
        return _may_sign_in(key)

    async def bearer(self, token: str) -> Person:
        """Who comes with this one-time link, which is then used up. Raises as `person`."""
        key_id = await self.ledger.sessions.take_link(token)
        key = None if key_id is None else self.ledger.keys.by_id(key_id)
        if key is None:
            raise InvalidApiKey("The link is not known.")
        check_live(key, self.now_s)
        return _may_sign_in(key)

    async def session(self, request: HTTPConnection) -> tuple[Session, Key] | None:
        """Who has signed in, and the key that they act with; None for nobody."""
        secret = request.cookies.get(self.cookie)
        if not secret:
            return None
        found = await self.ledger.sessions.find(secret, self.terms.patience)
        if found is None:
            return None
        try:
            return found, self._key(found)
        except InvalidApiKey:  # the key has ended
            return None

    async def key(self, request: HTTPConnection) -> Key | None:
        """The key that a cookie stands for; None without one. Raises InvalidApiKey, PermissionDenied."""
        if not request.cookies.get(self.cookie):
            return None
        found = await self.session(request)
        if found is None:
            raise InvalidApiKey("You are not signed in any more. Sign in again: /ui/login.")
        method: str = request.scope.get("method", "GET")
        if method not in _SAFE:
            self._check_own(request)
        return found[1]

    def _key(self, session: Session) -> Key:
        if not session.key_id:
            if self.terms.provider is None:
                raise InvalidApiKey("Nobody signs in with an identity provider any more.")
            is_admin = "admin" in session.scopes
            return Key(session.actor, session.subject, admin=is_admin, scopes=session.scopes)
        key = self.ledger.keys.by_id(session.key_id)
        if key is None:
            raise InvalidApiKey("The key is gone.")
        check_live(key, self.now_s)
        return replace(key, scopes=tuple(s for s in key.scopes if s in session.scopes))

    def check_account(self, key: Key) -> None:
        """Raises PermissionDenied where whoever signed in has no key that could pay for something."""
        if self.ledger.keys.by_id(key.id) is None:
            raise PermissionDenied(
                "You have signed in with an identity provider, so there is no key on whose account this"
                " could go. Make a key under Keys, sign out, and sign in with that key."
            )

    # --- Requests of other sites ---------------------------------------------------------------------

    def form_token(self, cookie: str) -> str:
        """What a form of ours holds, so that it is known to be ours."""
        return self.ledger.sessions.derived("form", cookie)

    def holds_token(self, request: HTTPConnection, token: str) -> bool:
        """Whether this is the token of the request's session."""
        cookie = request.cookies.get(self.cookie, "")
        return bool(cookie) and hmac.compare_digest(
            self.form_token(cookie).encode(), token.encode("utf-8", "replace")
        )

    def is_own(self, request: HTTPConnection) -> bool:
        """The browser says that a page of ours has made this request."""
        site = request.headers.get("sec-fetch-site")
        if site is not None:  # no page can set it
            return site == "same-origin"
        host = request.headers.get("host", "")
        return request.headers.get("origin") in (f"http://{host}", _origin(self.terms.public_url))

    def _check_own(self, request: HTTPConnection) -> None:
        sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        is_ours = sent == _JSON or self.holds_token(request, request.headers.get(FORM_HEADER, ""))
        if not (self.is_own(request) and is_ours):
            raise PermissionDenied(
                "A change with a cookie must come from a page of this server: send it from there with"
                " Content-Type: application/json, or use a key."
            )


def _may_sign_in(key: Key) -> Person:
    if not key.may("admin:read"):
        raise PermissionDenied("This key may not sign in: it needs the scope admin:read, or admin.")
    return Person(scopes=key.scopes, key_id=key.id)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"

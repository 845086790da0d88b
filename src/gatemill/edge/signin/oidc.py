"""Signing in with an identity provider: OpenID Connect, authorization code with PKCE.

Rule: nothing is remembered here between the way there and the way back. The browser keeps a seed in a
cookie; state, nonce and verifier are what only we can make of it. A token is believed when its
signature, issuer, audience, times and nonce are right, and an e-mail address when the provider says
that it is verified.
"""

from __future__ import annotations

import asyncio
import hmac
from base64 import urlsafe_b64encode
from hashlib import sha256
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from msgspec import Struct

from gatemill.core import scopes
from gatemill.core.errors import (
    ExtraNotInstalled,
    PermissionDenied,
    UpstreamBadReply,
    UpstreamUnreachable,
)
from gatemill.ledger.sessions import Person
from gatemill.upstream import documents

if TYPE_CHECKING:
    from collections.abc import Callable

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
KEPT_S = 3600.0  # that a provider's documents are used without a further look
PAUSE_S = 5.0  # between two looks for its documents
AGAIN_S = 30.0  # between two looks for a signing key that was not known
KEYS_MAX = 100  # signing keys of a provider
LEEWAY_S = 60  # a clock may be off by so much
INSTALL = "Signing in with an identity provider needs: pip install 'gatemill[oidc]'"
_DISCOVERY = "/.well-known/openid-configuration"
_HOME = ("localhost", "127.0.0.1", "::1")
_SUBJECT_CHARS_MAX = 200


class Client(Struct, frozen=True):
    """What the provider knows of us."""

    issuer: str
    id: str
    secret: str  # "" for a public client
    return_url: str
    scopes: tuple[str, ...]


class Rights(Struct, frozen=True):
    """Who may do what: `ada@example.com`, `*@example.com` or `group:NAME`."""

    groups_claim: str
    admins: tuple[str, ...]
    readers: tuple[str, ...]

    def of(self, claims: dict[str, Any]) -> Person:
        """Who these claims are of. Raises PermissionDenied for somebody who may nothing here."""
        email = claims.get("email")
        is_known = isinstance(email, str) and claims.get("email_verified") is True
        names = _names(email.lower() if is_known and isinstance(email, str) else "")
        groups = claims.get(self.groups_claim)
        if isinstance(groups, list):
            names |= {f"group:{group}" for group in groups if isinstance(group, str)}
        subject = str(email if is_known else claims["sub"])[:_SUBJECT_CHARS_MAX]
        for allowed, held in ((self.admins, scopes.ALL), (self.readers, ("admin:read",))):
            if names & {name if name.startswith("group:") else name.lower() for name in allowed}:
                return Person(scopes=held, subject=subject)
        raise PermissionDenied(
            "Your account may not sign in here. An admin can add it to auth.oidc.readers or"
            " auth.oidc.admins."
        )


class Provider:
    """An identity provider, as long as these settings hold."""

    def __init__(
        self,
        client: Client,
        rights: Rights,
        derived: Callable[[str, str], str],
        now: Callable[[], float],
    ) -> None:
        """`derived` makes of a purpose and a seed what nobody else can; `now` is monotonic seconds.

        Raises ExtraNotInstalled.
        """
        try:
            self._jwt: Any = import_module("jwt")
        except ImportError as error:
            raise ExtraNotInstalled(INSTALL) from error
        self._client = client
        self._rights = rights
        self._derived = derived
        self._now = now
        self._known: tuple[float, dict[str, Any]] | None = None  # when it was read; the discovery
        self._looking = asyncio.Lock()
        self._again_s = -PAUSE_S  # before this moment nobody looks for it again
        self._keys: tuple[float, dict[str, Any]] = (0.0, {})  # the same of signing keys, by id

    async def start(self, seed: str) -> str:
        """Where the browser goes to sign in. Raises UpstreamError."""
        found = await self._discovered()
        client = self._client
        challenge = sha256(self._derived("verifier", seed).encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": client.id,
            "redirect_uri": client.return_url,
            "scope": " ".join(client.scopes),
            "state": self._derived("state", seed),
            "nonce": self._derived("nonce", seed),
            "code_challenge": urlsafe_b64encode(challenge).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        endpoint = found["authorization_endpoint"]
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(asked)}"

    def check_begun(self, seed: str, state: str) -> None:
        """Raises PermissionDenied for a way back that did not begin here, in this browser."""
        if not seed or not _equal(state, self._derived("state", seed)):
            raise PermissionDenied("This sign-in was not begun here, or too long ago. Try again.")

    async def finish(self, seed: str, state: str, code: str) -> Person:
        """Who came back with this code. Raises PermissionDenied, UpstreamError."""
        self.check_begun(seed, state)
        found, client = await self._discovered(), self._client
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": client.return_url,
            "client_id": client.id,
            "code_verifier": self._derived("verifier", seed),
        }
        if client.secret:
            form["client_secret"] = client.secret
        answer = await documents.post(found["token_endpoint"], form)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise UpstreamBadReply("The identity provider sent no id_token.")
        claims = await self._claims(token)
        nonce = claims["nonce"]
        if not isinstance(nonce, str) or not _equal(nonce, self._derived("nonce", seed)):
            raise PermissionDenied("The identity provider's token is of another sign-in.")
        return self._rights.of(claims)

    async def _claims(self, token: str) -> dict[str, Any]:
        """Raises PermissionDenied for a token that is not to be believed."""
        jwt, found = self._jwt, await self._discovered()
        try:
            header = jwt.get_unverified_header(token)
            key = await self._signing_key(str(header.get("kid", "")))
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                audience=self._client.id,
                issuer=found["issuer"],
                leeway=LEEWAY_S,
                options={"require": ["exp", "iat", "aud", "iss", "sub", "nonce"]},
            )
        except jwt.PyJWTError as error:
            raise PermissionDenied(
                f"The identity provider's token is not valid: {type(error).__name__}."
            ) from error
        if claims.get("azp", self._client.id) != self._client.id:
            raise PermissionDenied("The identity provider's token is of another client.")
        return claims

    async def _signing_key(self, key_id: str) -> Any:
        """Raises PermissionDenied for a key that the provider does not have."""
        read_s, keys = self._keys
        age_s = self._now() - read_s
        if age_s > KEPT_S or (key_id not in keys and age_s > AGAIN_S):
            found = await self._discovered()
            said = (await documents.get(found["jwks_uri"])).get("keys")
            keys = self._read_keys(said if isinstance(said, list) else [])
            self._keys = (self._now(), keys)
        if key_id not in keys:
            raise PermissionDenied("The identity provider's token has an unknown signature.")
        return keys[key_id]

    def _read_keys(self, said: list[Any]) -> dict[str, Any]:
        keys: dict[str, Any] = {}
        for one in said[:KEYS_MAX]:
            if isinstance(one, dict) and one.get("use", "sig") == "sig" and one.get("kty") != "oct":
                try:
                    keys[str(one.get("kid", ""))] = self._jwt.PyJWK(one)
                except self._jwt.PyJWTError:
                    continue  # of a kind that we do not know
        return keys

    async def _discovered(self) -> dict[str, Any]:
        # Anybody may ask for the way there: one look for all who wait, and a pause when it failed.
        async with self._looking:
            if self._known is not None and self._now() - self._known[0] <= KEPT_S:
                return self._known[1]
            if self._now() < self._again_s:
                raise UpstreamUnreachable("The identity provider is away. Try again in a moment.")
            self._again_s = self._now() + PAUSE_S
            found = await self._discovery()
            self._known = (self._now(), found)
            return found

    async def _discovery(self) -> dict[str, Any]:
        issuer = self._client.issuer
        found = await documents.get(issuer + _DISCOVERY)
        if str(found.get("issuer", "")).rstrip("/") != issuer or not _is_safe(issuer, issuer):
            raise UpstreamBadReply(
                "The identity provider says that it is another issuer, or is no https URL."
            )
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not _is_safe(found.get(name), issuer):
                raise UpstreamBadReply(f"The identity provider's {name} is no https URL.")
        return found


def _names(email: str) -> set[str]:
    # An address that calls itself a group is none.
    if "@" not in email or email.startswith("group:"):
        return set()
    return {email, f"*@{email.rpartition('@')[2]}"}


def _equal(text: str, other: str) -> bool:
    return hmac.compare_digest(text.encode("utf-8", "replace"), other.encode())


def _is_safe(url: Any, issuer: str) -> bool:
    """https; or http, where the issuer itself is on this machine."""
    if not isinstance(url, str):
        return False
    parts = urlsplit(url)
    at_home = urlsplit(issuer).scheme == "http" and urlsplit(issuer).hostname in _HOME
    return parts.scheme == "https" or (parts.scheme == "http" and at_home)

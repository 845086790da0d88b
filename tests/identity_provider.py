"""A small identity provider over real sockets: discovery, keys, and a token for each code."""

from __future__ import annotations

import time
from base64 import urlsafe_b64encode
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CLIENT, SECRET = "gatemill-test", "the-secret-of-the-client"
ADA = {"sub": "1", "email": "Ada@Example.com", "email_verified": True}


class IdentityProvider:
    """Its documents can be changed by a test."""

    def __init__(self) -> None:
        self.url = ""
        self.claims: dict[str, Any] = dict(ADA)
        self.more: dict[str, Any] = {}  # of the discovery document
        self.key, self.key_id = ec.generate_private_key(ec.SECP256R1()), "one"
        self.algorithm = "ES256"
        self.signs_with: Any = None  # instead of its key
        self.asked: list[str] = []  # paths
        self.refuses: list[str] = []  # what was wrong with requests for tokens
        self._authorised: dict[str, dict[str, str]] = {}  # by code

    def authorise(self, url: str) -> dict[str, str]:
        """What the browser brings back after the person has said yes."""
        asked = dict(parse_qsl(urlsplit(url).query))
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{len(self._authorised)}"
        self._authorised[code] = asked
        return {"code": code, "state": asked["state"]}

    async def discovery(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        said = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
        }
        return web.json_response(said | self.more)

    async def keys(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        shown = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256).to_jwk(
            self.key.public_key(), as_dict=True
        )
        shared = {"kty": "oct", "kid": "shared", "k": "c2VjcmV0"}
        odd = {"kty": "what", "kid": "odd"}
        return web.json_response({"keys": [shared, odd, "x", {**shown, "kid": self.key_id}]})

    async def token(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        form = await request.post()
        asked = self._authorised.pop(str(form.get("code", "")), None)
        verifier = str(form.get("code_verifier", ""))
        challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        if asked is None or challenge != asked["code_challenge"]:
            self.refuses.append("code")
            return web.json_response({"error": "invalid_grant"}, status=400)
        if form.get("client_secret") != SECRET or form["redirect_uri"] != asked["redirect_uri"]:
            self.refuses.append("client")
            return web.json_response({"error": "invalid_client"}, status=401)
        now_s = int(time.time())
        times = {"iat": now_s, "exp": now_s + 300}
        claims = {"iss": self.url, "aud": CLIENT, "nonce": asked["nonce"], **times, **self.claims}
        told = {name: value for name, value in claims.items() if value is not None}
        key = self.key if self.signs_with is None else self.signs_with
        signed = jwt.encode(
            told, key or None, algorithm=self.algorithm, headers={"kid": self.key_id}
        )
        return web.json_response({"id_token": signed, "token_type": "Bearer"})


@asynccontextmanager
async def identity_provider() -> AsyncIterator[IdentityProvider]:
    """It listens until the block ends."""
    provider = IdentityProvider()
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", provider.discovery)
    app.router.add_get("/keys", provider.keys)
    app.router.add_post("/token", provider.token)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    provider.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield provider
    finally:
        await runner.cleanup()

import asyncio
import time
from contextlib import AsyncExitStack

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import structs

from gatemill.core.errors import (
    ExtraNotInstalled,
    PermissionDenied,
    UpstreamBadReply,
    UpstreamUnreachable,
)
from gatemill.edge.signin import oidc
from gatemill.edge.signin.attempts import FAILURES_MAX
from gatemill.edge.signin.oidc import Client, Provider, Rights
from identity_provider import ADA, CLIENT, SECRET, identity_provider

CONFIG = """
[auth]
public_url = "https://gate.example.com"
[auth.oidc]
issuer = "{issuer}"
client_id = "{client}"
client_secret = "{secret}"
admins = ["ada@example.com", "group:platform"]
readers = ["*@example.com", "Bob@elsewhere.org"]
"""
RETURN = "/ui/login/return"


@pytest.fixture
async def there():
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(identity_provider())


@pytest.fixture
async def browser(browse, there):
    found = await browse(CONFIG.format(issuer=there.url, client=CLIENT, secret=SECRET))
    found.client.base_url = found.home.url
    return found


async def came_back(browser, there, **other):
    """The page after the way there and back; cookies are carried by hand, since they are for https."""
    start = await browser.get("/ui/login/oidc")
    assert start.status_code == 303, start.text
    brought = there.authorise(start.headers["location"]) | other
    seed = start.headers["set-cookie"].partition(";")[0]
    asked = "&".join(f"{name}={value}" for name, value in brought.items())
    return await browser.client.get(f"{RETURN}?{asked}", headers={"cookie": seed})


def session_of(answer):
    for said in answer.headers.get_list("set-cookie"):
        if said.startswith("__Host-gatemill="):
            return said.partition(";")[0]
    return None


async def test_a_person_signs_in_and_acts_under_their_own_name(browser, there):
    assert "/ui/login/oidc" in (await browser.get("/ui/login")).text
    answer = await came_back(browser, there)
    assert answer.status_code == 200
    assert 'url=/ui"' in answer.text
    cookie = session_of(answer)
    mine = {"cookie": cookie, "sec-fetch-site": "same-origin"}
    assert "Ada@Example.com" in (await browser.client.get("/ui", headers=mine)).text
    path, said = "/api/v1/keys", {"name": "made by ada"}
    assert (await browser.client.post(path, json=said, headers=mine)).status_code == 201
    log = await browser.home.home.ledger.people.audit_log(2)
    assert [(one.actor, one.action) for one in log] == [
        ("oidc:Ada@Example.com", "create"),
        ("oidc:Ada@Example.com", "sign_in"),
    ]
    assert there.refuses == []


async def test_the_seed_is_lax_secure_and_gone_afterwards(browser, there):
    said = (await browser.get("/ui/login/oidc")).headers["set-cookie"].split("; ")
    assert said[0].startswith("__Host-gatemill-oidc=")
    assert {"HttpOnly", "SameSite=lax", "Secure", "Path=/", "Max-Age=600"} <= set(said)
    answer = await came_back(browser, there)
    assert any(
        one.startswith('__Host-gatemill-oidc="";') and "Max-Age=0" in one
        for one in answer.headers.get_list("set-cookie")
    )


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        (ADA, "admin"),
        ({"email": "eve@example.com", "email_verified": True}, "admin:read"),
        ({"email": "BOB@elsewhere.org", "email_verified": True}, "admin:read"),
        ({"email": None, "groups": ["x", "platform"]}, "admin"),
        ({"email": "ada@example.com", "email_verified": False}, None),
        ({"email": "ada@example.com", "email_verified": None}, None),
        ({"email": "ada@example.com", "email_verified": "true"}, None),
        ({"email": "eve@example.com.evil.org", "email_verified": True}, None),
        ({"email": "eve@evil.org", "email_verified": True, "groups": "platform"}, None),
        ({"email": "group:platform", "email_verified": True, "groups": []}, None),
    ],
)
async def test_who_somebody_is_decides_what_they_may(browser, there, claims, scopes):
    there.claims = {"sub": "7", **claims}
    answer = await came_back(browser, there)
    cookie = session_of(answer)
    if scopes is None:
        assert answer.status_code == 403
        assert cookie is None
        log = await browser.home.home.ledger.people.audit_log(1)
        assert (log[0].action, log[0].detail["reason"]) == ("sign_in_refused", "permission_denied")
        return
    shown = (await browser.client.get("/ui", headers={"cookie": cookie})).text
    assert ("<p>admin:read</p>" in shown) == (scopes == "admin:read")


NOW_S = int(time.time())  # of the collection: this test may run an hour later


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"aud": "another-client"},
        {"aud": [CLIENT, "other"], "azp": "other"},
        {"exp": NOW_S - 3600},
        {"iat": NOW_S + 86_400},
        {"exp": None},
        {"nonce": "of-another-sign-in"},
        {"nonce": None},
        {"nonce": 5},
        {"sub": None},
    ],
)
async def test_a_token_that_is_not_for_us_and_now_is_refused(browser, there, claims):
    there.claims = {**ADA, **claims}
    answer = await came_back(browser, there)
    assert answer.status_code == 403
    assert session_of(answer) is None


async def test_a_signature_by_somebody_else_is_refused(browser, there):
    there.signs_with = ec.generate_private_key(ec.SECP256R1())
    assert (await came_back(browser, there)).status_code == 403


@pytest.mark.parametrize(
    ("algorithm", "key", "key_id"),
    [("none", "", "one"), ("HS256", "secret" * 8, "one"), ("HS256", "secret" * 8, "shared")],
)
@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
async def test_a_weaker_kind_of_signature_is_refused(browser, there, algorithm, key, key_id):
    there.algorithm, there.signs_with, there.key_id = algorithm, key, key_id
    assert (await came_back(browser, there)).status_code in (403, 502)


@pytest.mark.parametrize("other", [{"state": "0" * 64}, {"state": ""}, {"code": "of-nobody"}])
async def test_a_way_back_that_was_not_begun_here_is_refused(browser, there, other):
    answer = await came_back(browser, there, **other)
    assert answer.status_code in (403, 502)
    assert session_of(answer) is None


async def test_a_way_back_without_the_seed_of_this_browser_is_refused(browser, there):
    start = await browser.get("/ui/login/oidc")
    brought = there.authorise(start.headers["location"])
    for cookie in ("", "__Host-gatemill-oidc=another"):
        answer = await browser.client.get(
            f"{RETURN}?code={brought['code']}&state={brought['state']}", headers={"cookie": cookie}
        )
        assert answer.status_code == 403
    assert "/token" not in there.asked


async def test_pages_elsewhere_cannot_lock_anybody_out(browser, there):
    for _ in range(FAILURES_MAX + 1):
        assert (await browser.get(f"{RETURN}?state=x&code=y")).status_code == 403
    answer = await came_back(browser, there)
    assert session_of(answer) is not None
    log = await browser.home.home.ledger.people.audit_log(10)
    assert [one.action for one in log] == ["sign_in", "create"]


async def test_without_the_provider_nobody_that_it_named_is_signed_in(browser, there):
    cookie = {"cookie": session_of(await came_back(browser, there))}
    assert (await browser.client.get("/ui", headers=cookie)).status_code == 200
    signin = browser.home.door.signin
    signin.terms = structs.replace(signin.terms, provider=None)
    assert (await browser.client.get("/ui", headers=cookie)).status_code == 303
    assert (await browser.client.get("/api/v1/keys", headers=cookie)).status_code == 401


async def test_a_provider_that_is_away_is_not_asked_by_everybody_who_comes(there):
    at, there.more = [0.0], {"authorization_endpoint": 5}
    provider = parts(there, lambda: at[0])
    asked = await asyncio.gather(
        *(provider.start("seed") for _ in range(5)), return_exceptions=True
    )
    assert {type(one) for one in asked} == {UpstreamBadReply, UpstreamUnreachable}
    assert len(there.asked) == 1
    at[0], there.more = oidc.PAUSE_S + 1, {}
    assert await provider.start("seed")


async def test_a_code_works_once(browser, there):
    start = await browser.get("/ui/login/oidc")
    brought = there.authorise(start.headers["location"])
    seed = {"cookie": start.headers["set-cookie"].partition(";")[0]}
    target = f"{RETURN}?code={brought['code']}&state={brought['state']}"
    assert (await browser.client.get(target, headers=seed)).status_code == 200
    assert (await browser.client.get(target, headers=seed)).status_code == 502
    assert there.refuses == ["code"]


@pytest.mark.parametrize(
    "more",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "file:///etc/passwd"},
        {"jwks_uri": "http://elsewhere.example/keys", "issuer": "x"},
        {"authorization_endpoint": 5},
    ],
)
async def test_a_provider_that_contradicts_itself_is_not_believed(browser, there, more):
    there.more = more
    assert (await browser.get("/ui/login/oidc")).status_code == 502


def parts(there, now, issuer=""):
    client = Client(issuer or there.url, CLIENT, SECRET, "https://g/ui/login/return", ("openid",))
    rights = Rights("groups", ("ada@example.com",), ())
    return Provider(client, rights, lambda purpose, seed: f"{purpose}-{seed}", now)


async def test_documents_are_read_once_an_hour_and_keys_again_when_one_is_new(there):
    at = [0.0]
    provider = parts(there, lambda: at[0] + 1e6)

    async def sign_in():
        brought = there.authorise(await provider.start("seed"))
        return await provider.finish("seed", brought["state"], brought["code"])

    assert (await sign_in()).subject == "Ada@Example.com"
    await sign_in()
    assert there.asked.count("/keys") == 1
    assert there.asked.count("/.well-known/openid-configuration") == 1
    there.key_id = "two"
    with pytest.raises(PermissionDenied, match="unknown signature"):
        await sign_in()  # too soon for another look
    at[0] += oidc.AGAIN_S + 1
    await sign_in()
    assert there.asked.count("/keys") == 2
    at[0] += oidc.KEPT_S + 1
    await sign_in()
    assert there.asked.count("/keys") == 3
    assert there.asked.count("/.well-known/openid-configuration") == 2


async def test_an_issuer_elsewhere_must_be_reached_by_https(there):
    assert not oidc._is_safe("http://id.example.com", "http://id.example.com")
    assert oidc._is_safe("https://id.example.com/x", "https://id.example.com")
    assert not oidc._is_safe("http://id.example.com/keys", "https://id.example.com")


def test_without_the_packages_the_remedy_is_said(monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(oidc, "import_module", absent)
    with pytest.raises(ExtraNotInstalled, match="oidc"):
        Provider(Client("", "", "", "", ()), Rights("", (), ()), lambda _p, _s: "", time.monotonic)


async def test_the_page_that_was_asked_for_comes_after_the_way_there_and_back(browser, there):
    page = (await browser.get("/ui/login?next=/ui/keys%3Fstate%3Dall")).text
    assert 'href="/ui/login/oidc?next=/ui/keys%3Fstate%3Dall"' in page
    start = await browser.get("/ui/login/oidc?next=/ui/keys%3Fstate%3Dall")
    kept = [said.partition(";")[0] for said in start.headers.get_list("set-cookie")]
    brought = there.authorise(start.headers["location"])
    asked = "&".join(f"{name}={value}" for name, value in brought.items())
    answer = await browser.client.get(f"{RETURN}?{asked}", headers={"cookie": "; ".join(kept)})
    assert 'url=/ui/keys?state=all"' in answer.text

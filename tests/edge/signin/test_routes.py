import re
from html.parser import HTMLParser

import pytest

from gatemill.edge.signin import attempts, pages
from gatemill.edge.signin.routes import FORM_BYTES_MAX
from gatemill.ledger.sessions import OF_ONE_MAX

TOKEN = re.compile(r'name="token" value="([0-9a-f]{64})"')


async def audited(browser, *fields):
    ledger = browser.home.home.ledger
    found = await ledger.people.audit_log(100)
    return [tuple(getattr(one, field) for field in fields) for one in found]


async def made(browser, *scopes, **more):
    return (await browser.home.home.ledger.create_key("k", scopes=scopes, **more)).secret


async def test_an_admin_signs_in_looks_changes_something_and_signs_out(browse):
    browser = await browse()
    assert (await browser.get("/ui")).headers["location"] == "/ui/login"
    answer = await browser.sign_in()
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui")
    home = await browser.get("/ui")
    assert home.status_code == 200
    assert "dev (" in home.text
    assert (await browser.get("/ui/login")).headers["location"] == "/ui"
    assert (await browser.get("/api/v1/keys")).status_code == 200
    assert (await browser.ask("POST", "/api/v1/keys", {"name": "new"})).status_code == 201
    token = TOKEN.search(home.text)[1]
    out = await browser.send("/ui/logout", {"token": token})
    assert out.headers["location"] == "/ui/login"
    assert (await browser.get("/ui")).status_code == 303
    assert (await browser.get("/api/v1/keys")).status_code == 401
    key_id = browser.home.key.split("-")[1]
    assert (await audited(browser, "actor", "action", "kind"))[:3] == [
        (key_id, "sign_out", "session"),
        (key_id, "create", "key"),
        (key_id, "sign_in", "session"),
    ]


async def test_the_cookie_is_strict_and_no_script_can_read_it(browse):
    browser = await browse()
    said = (await browser.sign_in()).headers["set-cookie"]
    assert said.startswith("gatemill=")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(said.split("; "))
    assert "Secure" not in said


async def test_behind_https_the_cookie_is_for_https_alone(browse):
    browser = await browse('[auth]\npublic_url = "https://gate.example.com"')
    said = (await browser.sign_in()).headers["set-cookie"]
    assert said.startswith("__Host-gatemill=")
    assert "Secure" in said.split("; ")


async def test_the_database_holds_nothing_that_signs_in(browse):
    browser = await browse()
    await browser.sign_in()
    cookie = browser.client.cookies["gatemill"]
    await browser.home.home.ledger.flushed()
    data_dir = browser.home.home.settings.data_dir
    for file in data_dir.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            assert cookie.encode() not in data, file
            if file.name != "dev.key":
                assert browser.home.key.encode() not in data, file


@pytest.mark.parametrize(
    ("scopes", "status"),
    [((), 403), (("inference", "jobs", "usage"), 403), (("admin:read",), 303)],
)
async def test_a_key_that_sees_nothing_of_others_cannot_sign_in(browse, scopes, status):
    browser = await browse()
    assert (await browser.sign_in(await made(browser, *scopes))).status_code == status


async def test_who_may_only_look_changes_nothing(browse):
    browser = await browse()
    await browser.sign_in(await made(browser, "admin:read"))
    assert (await browser.get("/api/v1/keys")).status_code == 200
    assert (await browser.ask("POST", "/api/v1/keys", {"name": "x"})).status_code == 403
    assert (await browser.ask("DELETE", "/v1/jobs/job_x")).status_code == 403


async def test_a_cookie_asks_no_model(browse):
    browser = await browse()
    await browser.sign_in()
    chat = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
    for path, said in (
        ("/v1/chat/completions", chat),
        ("/v1/messages", {**chat, "max_tokens": 5}),
        ("/v1/explain", chat),
        ("/v1/jobs", {"kind": "chat.completion", "args": chat}),
        ("/v1/batches", {}),
        ("/v1/rag/query", {}),
    ):
        assert (await browser.ask("POST", path, said)).status_code == 401, path


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec_fetch_site": "same-origin"}, 201),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "none"}, 403),
        ({"sec_fetch_site": "cross-site", "origin": "OWN"}, 403),
    ],
)
async def test_another_site_cannot_make_a_browser_change_something(browse, headers, status):
    browser = await browse()
    await browser.sign_in()
    told = {name: v.replace("OWN", browser.home.url) for name, v in headers.items()}
    answer = await browser.ask("POST", "/api/v1/keys", {"name": "x"}, **told)
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("origin", "status"), [("OWN", 201), ("http://evil.example", 403), ("null", 403), ("", 403)]
)
async def test_where_the_browser_names_no_site_its_origin_counts(browse, origin, status):
    browser = await browse()
    await browser.sign_in()
    headers = {"origin": origin.replace("OWN", browser.home.url)} if origin else {}
    answer = await browser.client.post("/api/v1/keys", json={"name": "x"}, headers=headers)
    assert answer.status_code == status


async def test_a_form_of_another_site_is_no_json_and_has_no_token(browse):
    browser = await browse()
    await browser.sign_in()
    page = await browser.get("/ui")
    headers = {"sec-fetch-site": "same-origin", "content-type": "text/plain"}
    path, body = "/api/v1/keys", b'{"name": "x"}'
    assert (await browser.client.post(path, content=body, headers=headers)).status_code == 403
    headers["x-gatemill-form"] = "0" * 64
    assert (await browser.client.post(path, content=body, headers=headers)).status_code == 403
    headers["x-gatemill-form"] = TOKEN.search(page.text)[1]
    assert (await browser.client.post(path, content=body, headers=headers)).status_code == 201


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
async def test_no_other_site_signs_somebody_in_or_out(browse, site):
    browser = await browse()
    answer = await browser.send("/ui/login", {"key": browser.home.key}, site)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    await browser.sign_in()
    token = TOKEN.search((await browser.get("/ui")).text)[1]
    assert (await browser.send("/ui/logout", {"token": token}, site)).status_code == 403
    assert (await browser.send("/ui/logout", {"token": "0" * 64})).status_code == 403
    assert (await browser.get("/ui")).status_code == 200


async def test_signing_in_again_ends_the_older_session(browse):
    browser = await browse()
    await browser.sign_in()
    older = browser.client.cookies["gatemill"]
    await browser.sign_in()
    assert browser.client.cookies["gatemill"] != older
    browser.client.cookies.clear()
    assert (await browser.get("/ui", cookie=f"gatemill={older}")).status_code == 303


async def test_a_cookie_that_was_foisted_on_a_browser_is_worth_nothing(browse):
    browser = await browse()
    foisted = {"cookie": "gatemill=" + "A" * 43, "sec-fetch-site": "same-origin"}
    answer = await browser.client.post("/ui/login", data={"key": browser.home.key}, headers=foisted)
    assert answer.status_code == 303
    assert (await browser.get("/api/v1/keys", cookie="gatemill=" + "A" * 43)).status_code == 401
    assert (await browser.get("/api/v1/keys", cookie="gatemill=" + "A" * 9000)).status_code == 401


async def test_a_session_ends_with_its_key(browse):
    browser = await browse()
    secret = await made(browser, "admin:read")
    await browser.sign_in(secret)
    assert (await browser.get("/api/v1/keys")).status_code == 200
    await browser.home.home.ledger.revoke_key(secret.split("-")[1])
    assert (await browser.get("/api/v1/keys")).status_code == 401
    assert (await browser.get("/ui")).status_code == 303


async def test_one_person_has_so_many_sessions_and_no_more(browse):
    browser = await browse()
    cookies = []
    for _ in range(OF_ONE_MAX + 2):
        browser.client.cookies.clear()
        await browser.sign_in()
        cookies.append(browser.client.cookies["gatemill"])
    browser.client.cookies.clear()
    alive = [
        (await browser.get("/api/v1/audit", cookie=f"gatemill={one}")).status_code == 200
        for one in cookies
    ]
    assert alive == [False] * 2 + [True] * OF_ONE_MAX


async def test_who_fails_too_often_has_to_wait_even_with_the_right_key(browse):
    browser = await browse()
    for _ in range(attempts.FAILURES_MAX):
        assert (await browser.sign_in("gm-aaaaaaaaaa-" + "b" * 43)).status_code == 401
    limited = await browser.sign_in()
    assert limited.status_code == 429
    assert 0 < int(limited.headers["retry-after"]) <= attempts.WINDOW_S + 1
    metrics = (await browser.get("/metrics")).text
    assert 'gatemill_sign_ins_total{outcome="limited"} 1.0' in metrics
    assert f'gatemill_sign_ins_total{{outcome="refused"}} {attempts.FAILURES_MAX}.0' in metrics
    # The first failure and the last: not one entry for each.
    assert [one for (one,) in await audited(browser, "action")] == ["sign_in_refused"] * 2 + [
        "create"
    ]


@pytest.mark.parametrize(
    "body", [b"key=" + b"x" * FORM_BYTES_MAX, b"\xff\xfe", b"a=1&b=2&c=3&d=4&e=5", b"", b"key="]
)
async def test_a_form_that_is_not_ours_is_refused(browse, body):
    browser = await browse()
    headers = {"sec-fetch-site": "same-origin"}
    answer = await browser.client.post("/ui/login", content=body, headers=headers)
    assert answer.status_code in (401, 403, 413)
    assert "set-cookie" not in answer.headers


async def test_without_a_provider_there_is_no_way_to_one(browse):
    browser = await browse()
    assert (await browser.get("/ui/login/oidc")).status_code == 404
    assert (await browser.get("/ui/login/return?code=x&state=y")).status_code == 404
    assert "organisation" not in (await browser.get("/ui/login")).text


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.labels, self.inputs = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "label":
            self.labels.append(dict(attrs)["for"])
        if tag == "input" and "hidden" not in dict(attrs):
            self.inputs.append(dict(attrs)["id"])


@pytest.mark.parametrize(
    "text",
    [
        pages.login("<b>", has_provider=True),
        pages.onward("/ui"),
    ],
)
def test_pages_run_no_script_and_label_their_fields(text):
    page = Page(text)
    assert "script" not in page.tags
    assert "b" not in page.tags
    assert page.tags.count("h1") == 1
    assert page.labels == page.inputs
    assert 'lang="en"' in text
    assert " on" not in re.sub(r"<style>.*</style>", "", text, flags=re.DOTALL).replace(" one", "")


def test_the_policy_of_pages_allows_their_style_and_nothing_else():
    policy = pages.HEADERS["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy

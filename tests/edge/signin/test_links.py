"""Links that sign in once: over HTTP, by whom, and where one goes on to."""

from __future__ import annotations

import asyncio
import re

import pytest

from gatemill.edge.signin.attempts import FAILURES_MAX
from gatemill.edge.signin.routes import NEXT_CHARS_MAX

LOGIN = "/ui/login"
TOKEN = re.compile(r'name="link" value="([^"]+)"')


async def _link(browser, key_id=None):
    key_id = key_id or browser.home.key.split("-")[1]
    return await browser.home.home.ledger.sessions.create_link(key_id)


async def test_a_link_is_used_by_its_button_and_once(browse):
    browser = await browse()
    token = await _link(browser)
    for _ in range(3):  # looking does not use it up
        page = await browser.get(f"{LOGIN}?token={token}&next=/ui/keys")
        assert page.headers["referrer-policy"] == "strict-origin"
        assert page.headers["cache-control"] == "no-store"
    form = {"link": TOKEN.search(page.text)[1], "next": "/ui/keys"}
    answer = await browser.send(LOGIN, form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/keys")
    assert "dev (" in (await browser.get("/ui")).text
    again = await browser.send(LOGIN, form)
    assert again.status_code == 401
    assert "was used already" in again.text
    assert 'value="/ui/keys"' in again.text  # the form for a key goes there, too


async def test_of_many_who_press_the_button_one_is_signed_in(browse):
    browser = await browse()
    form = {"link": await _link(browser)}
    answers = await asyncio.gather(*(browser.send(LOGIN, form) for _ in range(5)))
    assert sorted(each.status_code for each in answers) == [303, 401, 401, 401, 401]


async def test_a_link_is_worth_what_its_key_is_worth_now(browse):
    browser = await browse()
    ledger = browser.home.home.ledger
    reader = (await ledger.create_key("reader", scopes=("admin:read",))).key
    gone = (await ledger.create_key("gone", admin=True)).key
    plain = (await ledger.create_key("plain")).key
    tokens = {one.name: await _link(browser, one.id) for one in (gone, plain)}
    await ledger.revoke_key(gone.id)
    assert (await browser.send(LOGIN, {"link": tokens["gone"]})).status_code == 401
    assert (await browser.send(LOGIN, {"link": tokens["plain"]})).status_code == 403
    assert (await browser.send(LOGIN, {"link": await _link(browser, "none")})).status_code == 401
    assert (await browser.send(LOGIN, {"link": await _link(browser, reader.id)})).status_code == 303
    assert (await browser.ask("POST", "/api/v1/keys", {"name": "x"})).status_code == 403
    for page in ("keys", "teams", "users", f"keys/{reader.id}"):  # no button that would not work
        assert "data-send" not in (await browser.get(f"/ui/{page}")).text


async def test_another_site_cannot_use_a_link_up_and_guesses_are_bounded(browse):
    browser = await browse()
    form = {"link": await _link(browser)}
    assert (await browser.send(LOGIN, form, site="cross-site")).status_code == 403
    for _ in range(FAILURES_MAX):
        assert (await browser.send(LOGIN, {"link": "guess"})).status_code == 401
    assert (await browser.send(LOGIN, form)).status_code == 429


async def test_neither_the_log_nor_the_database_holds_the_token(browse, tmp_path):
    browser = await browse()
    token = await _link(browser)
    await browser.get(f"{LOGIN}?token={token}")
    await browser.send(LOGIN, {"link": token})
    await browser.home.home.ledger.flushed()
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or token.encode() not in file.read_bytes(), file


@pytest.mark.parametrize(
    ("asked", "to"),
    [
        ("/ui/requests?status=error&model=a%2Fb", "/ui/requests?status=error&model=a%2Fb"),
        ("/ui?range=7d", "/ui?range=7d"),
        ("/ui", "/ui"),
        ("/ui/", "/ui/"),
        ("", "/ui"),
        ("/", "/ui"),
        ("/uix", "/ui"),
        ("//evil.example/ui", "/ui"),
        ("/ui//evil.example", "/ui"),
        ("/ui/\\evil.example", "/ui"),
        ("/ui/../api/v1/keys", "/ui"),
        ("/ui/%2e%2E/api/v1/keys", "/ui"),
        ("/ui/x\r\nset-cookie: a=b", "/ui"),
        ("https://evil.example/ui/", "/ui"),
        ("javascript:alert(1)", "/ui"),
        (LOGIN, "/ui"),
        ("/ui/" + "a" * NEXT_CHARS_MAX, "/ui"),
    ],
)
async def test_whoever_has_signed_in_goes_on_to_a_page_of_ours(browse, asked, to):
    browser = await browse()
    answer = await browser.send(LOGIN, {"key": browser.home.key, "next": asked})
    assert (answer.status_code, answer.headers["location"]) == (303, to)


async def test_who_asks_for_a_page_comes_to_it_by_the_sign_in(browse):
    browser = await browse()
    sent = (await browser.get("/ui/keys?state=all")).headers["location"]
    page = (await browser.get(sent)).text
    assert 'name="next" value="/ui/keys?state=all"' in page
    await browser.sign_in()
    assert (await browser.get(sent)).headers["location"] == "/ui/keys?state=all"

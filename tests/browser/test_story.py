"""The first five minutes in the dashboard, by keyboard alone: the link, every page, a key, a dead letter.

That the key's budget refuses, and that a job is watched, is shown in test_who.py and test_work.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from api import web
from gatemill.core.clock import SystemClock
from gatemill.ledger.ledger import Ledger

if TYPE_CHECKING:
    from playwright.async_api import Page

STOPS_MAX = 80  # presses of Tab until something must have been reached
FOCUSED = """() => {
  const at = document.activeElement;
  const words = at.labels?.length ? at.labels[0].innerText : at.innerText;
  const box = at.getBoundingClientRect();
  return [words.trim(), getComputedStyle(at).outlineStyle !== "none" || at.matches("dialog, main, body") || !box.width];
}"""


async def focused(page: Page) -> str:
    """What has the focus; it can be seen."""
    words, is_seen = await page.evaluate(FOCUSED)
    assert is_seen, words
    return str(words)


async def reach(page: Page, words: str) -> None:
    """Tab is pressed until something that begins with these words has the focus."""
    for _ in range(STOPS_MAX):
        if (await focused(page)).startswith(words):
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not lead to {words}")


async def press(page: Page, words: str) -> None:
    await reach(page, words)
    await page.keyboard.press("Enter")


async def test_by_keyboard_alone_a_link_leads_to_a_key_with_a_budget_and_to_a_replay(
    visit, running
):
    ledger = Ledger.open(running.data_dir, None, SystemClock())
    token = await ledger.sessions.create_link(running.key.split("-")[1])
    await ledger.close()
    async with (
        visit(running, f"/ui/login?token={token}", signed_in=False) as page,
        web(running.url) as client,
    ):
        await press(page, "Sign in")
        await page.wait_for_url("**/ui")
        await page.keyboard.press("Tab")
        assert await focused(page) == "Skip to the page"
        for link in await page.eval_on_selector_all("#nav a", "all => all.map((one) => one.href)"):
            await page.goto(link)
            assert await page.locator("h1").count() == 1 or link.endswith("/docs")

        await page.goto("/ui/keys")
        await press(page, "New key")
        assert await focused(page) == "Name"
        await page.keyboard.press("Escape")
        assert await focused(page) == "New key"
        await page.keyboard.press("Enter")
        await page.keyboard.type("by keyboard")
        await reach(page, "a day")
        await page.keyboard.type("0.01")
        await page.keyboard.press("Enter")
        await page.locator("#told[open]").wait_for()
        await press(page, "Done")
        row = page.locator("tr", has_text="by keyboard")
        await row.wait_for()
        assert "$0 of $0.01 / day" in await row.inner_text()

        job = {"kind": "no_luck", "args": {}}
        bearer = {"authorization": f"Bearer {running.key}"}
        made = (await client.post("/v1/jobs", json=job, headers=bearer)).json()["id"]
        await client.get(f"/v1/jobs/{made}/events", headers=bearer)  # ends with the job
        await page.goto("/ui/dead-letters")
        await reach(page, "Purge all")
        await press(page, "Replay")
        await page.wait_for_url(f"**/ui/jobs/{made}")
        await page.wait_for_selector("#job .state:has-text('It was not to be.')")
        assert await page.locator("#job tbody tr").count() == 2

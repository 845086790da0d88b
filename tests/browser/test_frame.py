"""What is around every page: signing in and out, the navigation, light and dark, narrow screens."""

from __future__ import annotations

import math

import pytest

from gatemill.core.clock import SystemClock
from gatemill.ledger.ledger import Ledger
from gatemill.policy.incidents import WARNING, Finding


async def test_somebody_signs_in_looks_and_signs_out(visit, running):
    async with visit(running) as page:
        assert await page.title() == "Overview - Gatemill"
        await page.click("details.who summary")
        await page.click("text=Sign out")
        await page.wait_for_url("**/ui/login")
        await page.goto("/ui")
        await page.wait_for_url("**/ui/login")


async def test_the_theme_follows_the_system_until_somebody_chooses(visit, running):
    async with visit(running, theme="dark") as page:
        ground = "getComputedStyle(document.body).backgroundColor"
        dark = await page.evaluate(ground)
        await page.click("[data-theme-switch]")
        light = await page.evaluate(ground)
        assert dark != light
        await page.reload()
        assert await page.evaluate(ground) == light


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_on_a_phone_the_navigation_folds_and_nothing_sticks_out(visit, running, theme):
    async with visit(running, width="phone", theme=theme) as page:
        assert not await page.is_visible("#nav")
        await page.click("text=Menu")
        assert await page.is_visible("#nav")
        sticks_out = "document.documentElement.scrollWidth > innerWidth"
        assert await page.evaluate(sticks_out) is False


async def test_an_address_that_leads_nowhere_says_so_below_the_navigation(visit, running):
    async with visit(running, "/ui/nothing/here", expected=("404",)) as page:
        assert "There is no page /ui/nothing/here." in await page.inner_text("main")
        await page.click("#nav >> text=Keys")
        await page.wait_for_url("**/ui/keys")


async def test_alerts_are_told_in_their_own_units(visit, running):
    ledger = Ledger.open(running.data_dir, None, SystemClock())
    found = [
        Finding("WebhookFailing", "", WARNING, 0.941, 0.5, 60.0),
        Finding("QueueOldestAge", "inference", WARNING, 400.0, 300.0, 60.0),
        Finding("BreakerOpen", "up/x", WARNING, 1.0, 1.0, 60.0),
    ]
    await ledger.incidents.seen(found, math.inf, tells=False)
    await ledger.close()
    async with visit(running, "/ui/alerts") as page:
        told = await page.inner_text("main")
    for words in ("94.1 %\t50.0 %", "6 min 40 s\t5 min", "\u2013\t\u2013"):
        assert words in told

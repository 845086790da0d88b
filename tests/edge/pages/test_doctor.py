"""The page of the doctor: what the process that answers sees of itself."""

from __future__ import annotations

from api import Api, web
from house_for_tests import opened

CONFIG = """
[server]
port = 9124
[providers.groq]
[models.echo]
targets = ["echo/echo"]
"""


async def test_what_needs_repair_stands_first_and_each_has_its_remedy(tmp_path):
    async with (
        opened(tmp_path, CONFIG) as home,
        web(home.url) as client,
    ):
        told = await Api(home, client).good("GET", "/ui/doctor.json")
    levels = [one["level"] for one in told["findings"]]
    assert levels == sorted(levels, key=["failure", "warning", "ok"].index)
    assert told["counts"] == {level: levels.count(level) for level in told["counts"]}
    (groq,) = [one for one in told["findings"] if one["subject"] == "groq"]
    assert (groq["level"], groq["remedy"][:21]) == ("warning", "export GROQ_API_KEY=…")
    assert {"gatemill", "database", "disk"} <= {one["subject"] for one in told["findings"]}
    assert "port" not in {one["subject"] for one in told["findings"]}, "it has its own"

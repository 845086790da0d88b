"""A server and its configuration: SIGHUP and a changed file make it read again."""

from __future__ import annotations

import asyncio
import signal
import time

import msgspec

from gatemill.core.errors import LedgerUnavailable
from gatemill.edge.server import _retain
from openapi_examples import fetch
from running import Running, serve

ECHO = '[models.echo]\ntargets = ["echo/echo"]\n'
MORE = ECHO + '[models.more]\ntargets = ["echo/echo"]\n'


LOOK_S = 0.05  # a log tells nobody that it grows; to ask without a pause takes a processor


def models(running: Running) -> set[str]:
    """The names that it serves now."""
    answer = fetch(running.url + "/v1/models", {"authorization": f"Bearer {running.key}"})
    names = {one["id"] for one in msgspec.json.decode(answer.body)["data"]}
    return {name for name in names if not name.startswith("builtin/")}


def events(running: Running, name: str) -> list[dict[str, object]]:
    """The log's lines about `name`."""
    return [line for line in running.lines() if line["event"] == name]


def heard(running: Running, name: str, count: int = 1) -> list[dict[str, object]]:
    """The same, once there are `count`; it answers meanwhile."""
    while len(found := events(running, name)) < count:
        assert fetch(running.url + "/readyz", {}).status == 200
        time.sleep(LOOK_S)
    return found


def test_sighup_loads_the_configuration_again(tmp_path):
    with serve(tmp_path, ECHO) as running:
        (tmp_path / "gatemill.toml").write_text(MORE)
        running.process.send_signal(signal.SIGHUP)
        (line,) = heard(running, "config_reloaded")
        assert line["changes"] == 1
        assert models(running) == {"echo", "more"}
        (tmp_path / "gatemill.toml").write_text("[models\n")
        running.process.send_signal(signal.SIGHUP)
        (refused,) = heard(running, "config_refused")
        assert refused["config"] == line["config"]
        assert "gatemill.toml:1: not TOML" in refused["errors"][0]
        assert models(running) == {"echo", "more"}


def test_a_watched_file_is_loaded_when_it_changes(tmp_path):
    file = tmp_path / "gatemill.toml"
    with serve(tmp_path, ECHO, GATEMILL_SERVER__WATCH="true") as running:
        file.write_text(MORE)
        heard(running, "config_reloaded")
        assert models(running) == {"echo", "more"}
        new = tmp_path / "new.toml"
        new.write_text(ECHO)
        new.replace(file)
        heard(running, "config_reloaded", 2)
        assert models(running) == {"echo"}


async def test_a_database_that_is_away_for_a_moment_does_not_end_retention_for_good():
    class Home:
        asked = asyncio.Event()

        async def retain(self):
            self.asked.set()
            raise LedgerUnavailable("The database cannot be reached.")

    class Reloading:
        home = Home()

    task = asyncio.ensure_future(_retain(Reloading()))
    await Reloading.home.asked.wait()
    done, _ = await asyncio.wait((task,), timeout=0.05)
    assert not done
    task.cancel()

"""`gatemill reload`, `config history` and `config rollback`, against a running gateway."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from structlog.testing import capture_logs

import peer
from cli_run import Command, process
from house_for_tests import Opened, opened
from running import serve

ECHO = '[models.echo]\ntargets = ["echo/echo"]\n'
MORE = ECHO + '[models.more]\ntargets = ["echo/echo"]\n'


@pytest.fixture
async def running(tmp_path):
    # What a gateway logs would stand among what the commands print.
    with capture_logs():
        async with opened(tmp_path, ECHO) as home:
            yield home


@pytest.fixture
def asked(running: Opened, gatemill: Command):
    """A command in the folder of the running gateway."""
    environ = {"GATEMILL_CONFIG": "gatemill.toml", "GATEMILL_URL": running.url}

    async def command(*words: str):
        return await asyncio.to_thread(gatemill, *words, **environ)

    return command


async def _models(running: Opened) -> set[str]:
    answer = await peer.ask(running, peer.plain(running, "/v1/models"))
    names = {one["id"] for one in answer.json["data"]}
    return {name for name in names if not name.startswith("builtin/")}


async def test_it_prints_the_difference_and_the_new_version(running, asked, tmp_path):
    (tmp_path / "gatemill.toml").write_text(MORE + "[server]\nopenapi = false\n")
    tried = await asked("reload", "--dry-run")
    assert tried.code == 0
    assert tried.out.splitlines()[0] == '+ models.more.targets[0]: "echo/echo"'
    assert "would be reloaded" in tried.out.splitlines()[-1]
    assert await _models(running) == {"echo"}
    done = await asked("reload")
    assert done.code == 0
    first, *rest = done.out.splitlines()
    assert first == '+ models.more.targets[0]: "echo/echo"'
    assert rest[:2] == [
        "Not applied, because it takes a restart:",
        "  server.openapi: true -> false",
    ]
    assert rest[2].startswith("1 change, version ")
    assert rest[2].endswith(" in effect")
    assert await _models(running) == {"echo", "more"}
    assert (await asked("reload")).out.splitlines()[-1].startswith("nothing changes, version ")


async def test_what_is_wrong_is_shown_and_the_code_is_1(running, asked, tmp_path):
    (tmp_path / "gatemill.toml").write_text("[server]\nprot = 1\nhots = 2\n")
    done = await asked("reload")
    assert (done.code, done.out) == (1, "")
    lines = done.err.splitlines()
    assert "gatemill.toml:2: server.prot: unknown key" in lines[0]
    assert "gatemill.toml:3: server.hots: unknown key" in lines[1]
    assert lines[2] == "gatemill: 2 errors in the configuration; the old one stays in effect"
    assert await _models(running) == {"echo"}


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("--url", "http://127.0.0.1:1"), 1, "no gateway answers at http://127.0.0.1:1"),
        (("--url", "nowhere"), 2, "nowhere is not a URL"),
        (("--key", "gm-wrong"), 1, "key"),
    ],
)
async def test_why_it_could_not_ask_is_said(asked, words, code, text):
    done = await asked("reload", *words)
    assert done.code == code
    assert text in done.err
    assert "fix: " in done.err
    assert "Traceback" not in done.err


async def test_a_rollback_goes_back_and_reloads(running, asked, tmp_path):
    file = tmp_path / "gatemill.toml"
    file.write_text(MORE)
    file.chmod(0o640)
    await asked("reload")
    done = await asked("config", "rollback")
    assert done.code == 0, done.err
    first, *rest = done.out.splitlines()
    assert first.startswith("gatemill.toml is number 1 again, version ")
    assert rest[0] == '- models.more.targets[0]: "echo/echo"'
    assert file.read_text() == ECHO
    assert file.stat().st_mode & 0o777 == 0o640
    assert await _models(running) == {"echo"}
    assert (await asked("config", "rollback")).code == 0
    assert file.read_text() == MORE


async def test_from_a_broken_file_it_goes_back_to_what_is_in_effect(running, asked, tmp_path):
    file = tmp_path / "gatemill.toml"
    file.write_text("broken")
    done = await asked("config", "rollback")
    assert done.code == 0, done.err
    assert "nothing changes" in done.out
    assert file.read_text() == ECHO
    kept = msgspec.json.decode((await asked("config", "history", "--json")).out)
    assert kept[0]["version"] == "unapplied"
    assert (await asked("config", "rollback", str(kept[0]["number"]))).code == 2


async def test_the_history_is_a_table_with_numbers_to_go_back_to(running, asked, tmp_path):
    (tmp_path / "gatemill.toml").write_text(MORE)
    await asked("reload")
    rows = (await asked("config", "history")).out.splitlines()
    assert rows[0].split() == ["number", "version", "applied,", "UTC"]
    assert [row.split()[0] for row in rows[1:]] == ["2", "1"]
    done = await asked("config", "rollback", "1")
    assert done.code == 0
    assert await _models(running) == {"echo"}


def test_without_a_running_gateway_the_next_start_takes_it(tmp_path):
    with serve(tmp_path, ECHO) as running:
        (tmp_path / "gatemill.toml").write_text(MORE)
        url = {"GATEMILL_URL": running.url, "GATEMILL_CONFIG": "gatemill.toml"}
        process("reload", cwd=tmp_path, **url)
    done = process("config", "rollback", cwd=tmp_path, **url)
    assert done.code == 0
    assert '- models.more.targets[0]: "echo/echo"' in done.out
    assert "it takes effect with the next start or reload" in done.err
    assert (tmp_path / "gatemill.toml").read_text() == ECHO


@pytest.mark.parametrize(
    ("words", "text"),
    [(("9",), "the history has no number 9"), ((), "there is no other configuration")],
)
async def test_where_there_is_nothing_to_go_back_to_it_says_so(asked, tmp_path, words, text):
    done = await asked("config", "rollback", *words)
    assert done.code == 1
    assert text in done.err
    assert (tmp_path / "gatemill.toml").read_text() == ECHO

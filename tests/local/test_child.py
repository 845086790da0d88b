from __future__ import annotations

import asyncio
import errno
import sys

import msgspec
import pytest

from children import FAKE, arguments_of_all, kill, lives, spec, tools, until
from gatemill.core.call import Timeouts
from gatemill.core.errors import (
    ModelLoadFailed,
    UpstreamInterrupted,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gatemill.local import process
from gatemill.local.runtimes import command
from gatemill.local.sharing import Place
from transports import PATIENT, Remembered, ask, chat, failure, opened, soon, streamed


@pytest.fixture
async def loaded(tmp_path):
    """Loads children, and unloads them."""
    made = []

    async def load(**options):
        child = await command.load(spec(**options), tools(tmp_path))
        made.append(child)
        return child

    yield load
    for child in made:
        await child.close()


async def test_a_command_answers_under_the_name_that_it_knows(loaded):
    child = await loaded(served_name="known")
    answer = await ask(child, chat("fake"))
    assert answer.status == 200
    assert msgspec.json.decode(answer.body)["model"] == "known"
    assert lives(child.pid)
    assert child.memory_bytes > 1 << 20


async def test_a_stream_whose_child_is_killed_ends_once_and_the_next_request_is_answered(loaded):
    child = await loaded(served_name="fake+words=300+slow=0.2")
    first = child.pid
    sink = Remembered()
    source = await opened(child, streamed("fake"))
    source.attach(sink)
    await sink.until(lambda: b"content" in sink.data)
    kill(first)
    assert isinstance(await sink.end(), UpstreamInterrupted)
    await until(lambda: child.restarts == 1)
    answer = await ask(child, chat("fake"))  # waits for the next child
    assert answer.status == 200
    assert child.pid not in (None, first)


async def test_unloading_ends_the_child_and_what_it_has_started(tmp_path):
    script = tmp_path / "two.sh"
    script.write_text(f'sleep 600 & echo $! > {tmp_path}/other; exec "$@"\n')
    child = await command.load(spec(command=("sh", str(script), *FAKE)), tools(tmp_path))
    pid, other = child.pid, int((tmp_path / "other").read_text())
    assert lives(other)
    await child.close()
    assert not lives(pid)
    await until(lambda: not lives(other))
    assert isinstance(await failure(ask(child, chat("fake"))), UpstreamUnreachable)


async def test_its_key_is_in_its_environment_and_in_nobody_s_arguments(tmp_path):
    asks = 'echo "$GATEMILL_TOKEN" > key; exec "$@"'
    told = ("sh", "-c", f"cd {tmp_path}; {asks}", "{token}", *FAKE)
    child = await command.load(spec(command=told), tools(tmp_path))
    try:
        key = (tmp_path / "key").read_text().strip()
        assert len(key) == 32
        everything = arguments_of_all()
        assert b"fake_provider" in everything
        assert key.encode() not in everything
    finally:
        await child.close()


async def test_a_command_that_ends_at_once_tells_its_last_words(loaded):
    script = "import sys; print('{port}'); sys.exit('out of memory: sk-123456789')"
    with pytest.raises(ModelLoadFailed, match=r"with code 1. .* out of memory: \[redacted\]"):
        await loaded(command=(sys.executable, "-c", script))


async def test_a_command_that_cannot_be_run_says_so(loaded):
    with pytest.raises(ModelLoadFailed, match="cannot run 'no-such-command': No such file"):
        await loaded(command=("no-such-command", "{port}"))


async def test_a_command_that_never_answers_is_ended(loaded):
    with pytest.raises(ModelLoadFailed, match=r"not ready within 0\.3 s"):
        await loaded(command=("sleep", "600", "{port}"), start_timeout_s=0.3)


async def test_a_command_without_a_port_is_refused(loaded):
    with pytest.raises(ModelLoadFailed, match=r"needs `command`, with \{port\}"):
        await loaded(command=("sleep", "600"))


async def test_a_child_that_does_not_start_again_fails_requests_at_once(loaded, tmp_path):
    flag = tmp_path / "gone"
    child = await loaded(command=("sh", "-c", f'[ -e {flag} ] || exec "$@"', "sh", *FAKE))
    flag.touch()
    kill(child.pid)
    await until(lambda: "did not start" in child.error)
    assert isinstance(await failure(ask(child, chat("fake"))), UpstreamUnreachable)
    flag.unlink()
    await until(lambda: not child.error)
    assert (await ask(child, chat("fake"))).status == 200


async def test_a_request_waits_for_a_starting_child_as_long_as_for_a_first_byte(loaded, tmp_path):
    flag = tmp_path / "slow"
    child = await loaded(
        command=("sh", "-c", f'[ -e {flag} ] && sleep 600; exec "$@"', "sh", *FAKE)
    )
    flag.touch()
    kill(child.pid)
    await until(lambda: child.pid is None)
    hasty = Timeouts(connect_s=1, first_token_s=0.1, between_chunks_s=1, total_s=2)
    assert isinstance(await failure(ask(child, chat("fake"), hasty)), UpstreamTimeout)


async def test_two_processes_share_one_child_and_the_second_takes_over(loaded):
    first = await loaded()
    second = await loaded()
    assert first.pid is not None
    assert second.pid is None
    assert (await ask(second, chat("fake"))).status == 200
    await first.close()
    error = await failure(second.exchange(chat("fake"), PATIENT, soon()))
    assert isinstance(error, UpstreamUnreachable)
    assert (await ask(second, chat("fake"))).status == 200
    assert lives(second.pid)


async def test_loading_that_is_called_off_leaves_nothing(tmp_path):
    script = f"echo $$ > {tmp_path}/pid; exec sleep 600 # {{port}}"
    task = asyncio.ensure_future(command.load(spec(command=("sh", "-c", script)), tools(tmp_path)))
    await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
    task.cancel()
    await asyncio.wait([task])
    assert not lives(int((tmp_path / "pid").read_text()))
    place = Place(tmp_path / "runners", spec(command=("sh", "-c", script)))
    assert place.take()
    place.release()


@pytest.mark.parametrize("turns", [1, 3, 30])
async def test_a_start_that_is_called_off_leaves_nothing(tmp_path, turns):
    log = tmp_path / "log"
    wanted = process.Command(("sleep", "600"), log, 1 << 20, 2.0)
    while True:
        task = asyncio.ensure_future(process.start(wanted))
        for _ in range(turns):  # the guard is there, and has not said yet that the command runs
            await asyncio.sleep(0)
        if task.cancel():
            break
        await (await task).stop()  # or it has: this machine stood still meanwhile
    await asyncio.wait([task])
    assert task.cancelled()
    await until(lambda: str(log).encode() not in arguments_of_all())


async def test_a_system_without_room_for_a_process_is_asked_again(loaded, monkeypatch):
    child, start = await loaded(), process.start
    left = [OSError(errno.EAGAIN, "Resource temporarily unavailable")]

    async def started(command):
        if left:
            raise left.pop()
        return await start(command)

    monkeypatch.setattr(process, "start", started)
    kill(child.pid)
    await until(lambda: not left and not child.error and child.pid is not None)
    assert (await ask(child, chat("fake"))).status == 200


async def test_a_system_without_room_for_a_process_fails_loading(tmp_path, monkeypatch):
    async def refused(_command):
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(process, "start", refused)
    with pytest.raises(ModelLoadFailed, match="temporarily unavailable"):
        await command.load(spec(), tools(tmp_path))
    place = Place(tmp_path / "runners", spec())
    assert place.take()
    place.release()


class Stubborn:
    """A process that ends when it is told to for the second time."""

    pid = 0
    is_running = True

    def __init__(self) -> None:
        self.told = asyncio.Event()

    async def stop(self):
        if self.told.is_set():
            self.is_running = False
            return
        self.told.set()
        await asyncio.Event().wait()

    async def last_words(self):
        return ""


async def test_loading_that_is_called_off_while_its_child_ends_waits_for_that(
    tmp_path, monkeypatch
):
    stubborn = Stubborn()

    async def started(_command):
        return stubborn

    monkeypatch.setattr(process, "start", started)
    loading = command.load(spec(start_timeout_s=0.01), tools(tmp_path))
    task = asyncio.ensure_future(loading)
    await stubborn.told.wait()  # it was not ready in time
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert not stubborn.is_running


async def test_a_start_that_is_called_off_leaves_nothing_of_the_place_to_listen(
    tmp_path, monkeypatch
):
    begun, ended = asyncio.Event(), []

    async def started(_command):
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(process, "start", started)
    monkeypatch.setattr(command.Template, "ended", lambda _plan, address: ended.append(address))
    task = asyncio.ensure_future(command.load(spec(), tools(tmp_path)))
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])
    assert len(ended) == 1

"""What is wrong on a machine is found, and each finding names what repairs it."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import collector
import postgres_service
import redis_service
from gatemill.core.clock import FakeClock, SystemClock
from gatemill.core.finding import FAILURE, OK, WARNING, Finding
from gatemill.house import doctor
from gatemill.house.doctor import machine, ports, stores, traces
from gatemill.ledger import queries
from gatemill.ledger.place import Place
from gatemill.settings import Settings, load
from quiet_ports import quiet_port

NEWEST = queries.migrations()[-1].version
CLOCK = SystemClock()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "gatemill.toml"
    file.write_text("")
    file.chmod(0o600)
    return file


def settings(config: Path, text: str = "") -> Settings:
    config.write_text(text)
    flags = {"server.data_dir": str(config.parent / "data"), "server.discover": False}
    return load(config, {}, flags, lister=None).settings


def made(folder: Path, version: int = NEWEST) -> None:
    folder.mkdir(mode=0o700)
    database = Place(path=folder / "gatemill.db").open(writes=True)
    database.migrate(queries.migrations()[:version], CLOCK.unix_s())
    database.close()


def marks(found: list[Finding] | Iterator[Finding]) -> list[tuple[str, str]]:
    return [(one.mark, one.subject) for one in found]


async def test_on_a_fresh_machine_all_is_well(config):
    found = await doctor.examined(
        load(config, {}, {"server.data_dir": str(config.parent / "data")}, lister=None),
        CLOCK,
        serves=True,
    )
    assert [one for one in found if one.mark == FAILURE] == []
    assert {"gatemill", "config", "database", "disk"} <= {one.subject for one in found}


FACTS = machine.Machine("3.11.7", "Linux", "uvloop 1", 65_536, 100 << 30, (), writable=True)


@pytest.mark.parametrize(
    ("changed", "mark", "subject", "words"),
    [
        ({"files_max": 1024}, WARNING, "open files", "2048 requests at once need 4352"),
        ({"files_max": 0}, OK, "gatemill", "3.11.7"),
        ({"free_bytes": 1 << 30}, WARNING, "disk", "1.0 GiB free"),
        ({"free_bytes": 1 << 20}, FAILURE, "disk", "0.0 GiB free"),
        ({"free_bytes": None}, WARNING, "disk", "cannot be seen"),
        ({"writable": False}, FAILURE, "data", "cannot be written"),
        ({"open_to_others": ("d/pepper", "d/a", "d/b", "x.toml")}, FAILURE, "rights",
         "d/pepper, d/a, d/b and 1 more"),
    ],
)  # fmt: skip
def test_each_fact_of_the_machine_is_judged(config, changed, mark, subject, words):
    facts = msgspec.structs.replace(FACTS, **changed)
    found = list(machine.judged(facts, settings(config)))
    assert [
        one for one in found if (one.mark, one.subject) == (mark, subject) and words in one.text
    ]


def test_files_that_others_may_read_are_found(config):
    data = config.parent / "data"
    made(data)
    pepper = data / "pepper"
    pepper.write_text("p")
    pepper.chmod(0o644)
    assert machine.look(data, config).open_to_others == ()  # nobody gets into the folder
    data.chmod(0o755)
    assert str(pepper) in machine.look(data, config).open_to_others
    config.write_text('[providers.openai]\napi_key = "sk-1"\n')
    config.chmod(0o644)
    assert str(config) in machine.look(data, config).open_to_others
    config.write_text('# api_key = "x"\n[providers.openai]\napi_key = "${K}"\n')
    assert str(config) not in machine.look(data, config).open_to_others


@pytest.mark.parametrize(
    ("version", "mark", "words", "fix"),
    [
        (NEWEST, OK, "the newest", ""),
        (3, FAILURE, f"has schema 3, this version needs {NEWEST}", "gatemill db upgrade"),
        (0, FAILURE, "has schema 0", "gatemill db upgrade"),
    ],
)
def test_a_database_is_current_or_behind(config, version, mark, words, fix):
    made(config.parent / "data", version) if version else _bare(config.parent / "data")
    (found,) = stores.database(settings(config), CLOCK)
    assert (found.mark, found.fix) == (mark, fix)
    assert words in found.text


def _bare(folder: Path) -> None:
    folder.mkdir()
    with sqlite3.connect(folder / "gatemill.db") as database:
        database.execute("CREATE TABLE other (x INTEGER)")
    database.close()


def test_a_database_that_is_newer_or_no_database_is_said(config):
    data = config.parent / "data"
    made(data)
    with sqlite3.connect(data / "gatemill.db") as database:
        database.execute("INSERT INTO migrations VALUES (9999, 'later', 0)")
    database.close()
    (found,) = stores.database(settings(config), CLOCK)
    assert "9999" in found.text
    assert "newer Gatemill" in found.fix
    (data / "gatemill.db").write_text("no database at all, but a text")
    (found,) = stores.database(settings(config), CLOCK)
    assert found.mark == FAILURE


def test_who_can_be_reached_needs_an_admin_key(config):
    public = settings(config, '[server]\nhost = "0.0.0.0"')
    assert marks(stores.database(public, CLOCK)) == [(OK, "database"), (FAILURE, "keys")]
    made(config.parent / "data")
    assert marks(stores.database(public, CLOCK)) == [(OK, "database"), (FAILURE, "keys")]


async def test_redis_answers_and_its_clock_agrees(config):
    with redis_service.store() as url:
        both = settings(config, f'[stores]\ncounters = "{url}"\ncache = "{url}"')
        found = await stores.examined(both, CLOCK)
        assert marks(found) == [(OK, "database"), (OK, "redis"), (OK, "clock")]
        assert "(stores.counters, stores.cache)" in found[1].text
        apart = await stores.redis(url, "x", FakeClock(CLOCK.unix_s() - 90))
        assert (apart[1].mark, apart[1].fix[:11]) == (WARNING, "timedatectl")
        assert apart[1].text.startswith("is 90.")
        (wrong,) = await stores.redis(url.replace("://", "://:secret@"), "x", CLOCK)
        assert (wrong.mark, wrong.fix[:20]) == (FAILURE, "correct the password")
        assert "secret" not in str(wrong)


def test_postgres_is_looked_at_and_its_clock(config):
    with postgres_service.cleared() as url:
        text = f'[stores]\ndatabase = "{url}"'
        found = asyncio.run(stores.examined(settings(config, text), CLOCK))
    assert marks(found) == [(OK, "database"), (OK, "clock")]


async def test_stores_that_are_away_are_failures_with_a_remedy(config):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        port = taken.getsockname()[1]
        text = (
            f'[stores]\ndatabase = "postgresql://u:secret@127.0.0.1:{port}/d"\n'
            f'counters = "redis://127.0.0.1:{port}"\n'
            f'[jobs]\ndispatch = "rabbitmq"\nbroker = "amqp://127.0.0.1:{port}"\n'
        )
        found = await stores.examined(settings(config, text), CLOCK)
    assert marks(found) == [(FAILURE, "database"), (FAILURE, "redis"), (FAILURE, "broker")]
    assert all(one.fix for one in found)
    assert "secret" not in str(found)


async def test_a_broker_that_listens_is_reachable(config):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        url = f"amqp://127.0.0.1:{listening.getsockname()[1]}"
        assert (await stores.reachable(url, "jobs.broker")).mark == OK


async def test_a_topic_that_consume_reads_is_reachable_or_its_option_is_named():
    with socket.socket() as listening, socket.socket() as silent:
        for each in (listening, silent):
            each.bind(("127.0.0.1", 0))
        listening.listen()
        there, away = (each.getsockname()[1] for each in (listening, silent))
        urls = {
            "--from": f"kafka://u:secret@127.0.0.1:{there}/asked",
            "--to": f"kafka://u:secret@127.0.0.1:{away}/answered",
        }
        found = await stores.streams(urls)
    assert found[0] == Finding(OK, "broker", f"127.0.0.1:{there} accepts connections")
    text = f"nothing answers at 127.0.0.1:{away}"
    assert found[1] == Finding(FAILURE, "broker", text, "start it, or correct --to")


@pytest.mark.parametrize("url", ["kafka://u:secret@host", "http://secret/x", "kafka://h:secret/x"])
async def test_an_address_that_names_no_topic_is_said_without_a_word_of_it(url):
    (found,) = await stores.streams({"--from": url})
    assert (found.mark, found.fix) == (FAILURE, "correct --from")
    assert "secret" not in found.text


@pytest.fixture
def receiver() -> Iterator[collector.Collector]:
    with collector.collecting() as made:
        yield made


def traced(config: Path, url: str) -> list[Finding]:
    text = f'[telemetry]\nendpoint = "{url}/base"\nheaders = {{ x-tenant = "secret" }}'
    return list(traces.examined(settings(config, text)))


def test_a_receiver_of_traces_is_sent_no_span_and_asked_as_the_gateway_does(config, receiver):
    assert traced(config, receiver.url) == [Finding(OK, "traces", f"{receiver.url} takes them")]
    assert receiver.paths == ["/base/v1/traces"]
    assert receiver.headers[0]["x-tenant"] == "secret"
    assert receiver.spans == []


@pytest.mark.parametrize(
    ("status", "fix"),
    [
        (401, "correct telemetry.headers"),
        (403, "correct telemetry.headers"),
        (404, "correct telemetry.endpoint"),
        (405, "correct telemetry.endpoint"),
        (503, "look later"),
    ],
)
def test_a_receiver_that_takes_no_traces_has_a_remedy(config, receiver, status, fix):
    receiver.answers = [status]
    (found,) = traced(config, receiver.url)
    assert (found.mark, found.subject) == (WARNING, "traces")
    assert str(status) in found.text
    assert found.fix.startswith(fix)
    assert "secret" not in str(found)


def test_a_receiver_that_is_away_is_a_warning_and_none_is_no_finding(config):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        (found,) = traced(config, f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert (found.mark, found.fix) == (WARNING, "start it, or correct telemetry.endpoint")
    assert "spans are dropped" in found.text
    assert list(traces.examined(settings(config))) == []


def test_a_port_is_free_or_anothers_or_not_to_be_had(config):
    with socket.socket() as other:
        port = quiet_port()  # nobody takes it once it is free
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        found = list(
            ports.examined(
                settings(
                    config, f'[server]\nport = 0\nadmin_port = {port}\nadmin_host = "127.0.0.1"'
                )
            )
        )
    assert marks(found) == [(OK, "port"), (FAILURE, "port")]
    assert f"admin_port = {port + 1}" in found[1].fix
    (free,) = ports.examined(settings(config, f"[server]\nport = {port}"))
    assert free.text.endswith("is free")
    (nowhere,) = ports.examined(settings(config, '[server]\nhost = "203.0.113.7"'))
    assert "no address of this machine" in nowhere.text

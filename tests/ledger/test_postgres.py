"""What Postgres alone has; tests/contract/test_database.py is the rest."""

import socket

import pytest

import databases
import postgres_service
from gatemill.core.errors import LedgerUnavailable
from gatemill.ledger import postgres, queries
from gatemill.ledger.place import Place
from gatemill.ledger.queries import literal

SCHEMA = queries.load("schema")
FACT = {"name": "colour", "value": "green"}
READ_FACTS = literal("facts", "SELECT name, value FROM facts")
ONE = literal("one", "SELECT 1 AS one")
SLEEP = literal("sleep", "SELECT pg_sleep(60)")
ENDS = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{name}'"


@pytest.fixture
def url():
    with postgres_service.database() as found:
        yield found


@pytest.fixture
def database(url):
    with databases.migrated(Place(url=url)) as opened:
        yield opened


def cut(url):
    """Every connection to the database has ended, as in a restart of the server."""
    server, _, name = url.rpartition("/")
    postgres_service.command(server, ENDS.format(name=name))


def test_a_connection_lost_between_two_calls_is_made_anew(database, url):
    cut(url)
    assert database.rows(ONE) == [{"one": 1}]


def test_a_transaction_whose_connection_is_lost_never_happened(database, url):
    def lose():
        with database.transaction():
            database.run(SCHEMA["set_fact"], FACT)
            cut(url)
            database.run(SCHEMA["set_fact"], FACT | {"name": "shape"})

    with pytest.raises(LedgerUnavailable) as lost:
        lose()
    assert lost.value.retry_after_s == 1.0
    assert database.rows(READ_FACTS) == []
    with database.transaction():
        database.run(SCHEMA["set_fact"], FACT)
    assert database.rows(READ_FACTS) == [FACT]


def test_a_commit_whose_connection_is_lost_is_no_success(database, url):
    def lose():
        with database.transaction():
            database.run(SCHEMA["set_fact"], FACT)
            cut(url)

    with pytest.raises(LedgerUnavailable):
        lose()
    assert database.rows(READ_FACTS) == []


def test_a_transaction_that_went_on_after_an_error_is_no_success(database):
    def go_on():
        with database.transaction():
            database.run(SCHEMA["set_fact"], FACT)
            with pytest.raises(LedgerUnavailable):
                database.rows(literal("odd", "SELECT nothing FROM nowhere"))

    with pytest.raises(LedgerUnavailable, match="undone"):
        go_on()
    assert database.rows(READ_FACTS) == []


def test_a_server_that_stops_is_unavailable_until_it_starts_again():
    server = postgres_service.Server()
    try:
        with databases.migrated(Place(url=f"{server.url}/postgres")) as database:
            server.stop()
            for _ in range(2):
                with pytest.raises(LedgerUnavailable, match=r"Check that the server runs"):
                    database.rows(ONE)
            server.start()
            database.run(SCHEMA["set_fact"], FACT)
            assert database.rows(READ_FACTS) == [FACT]
    finally:
        server.remove()


def test_the_server_ends_a_statement_that_takes_too_long(url, monkeypatch):
    monkeypatch.setattr(postgres, "STATEMENT_S", 1.0)
    database = Place(url=url).open(writes=True)
    with pytest.raises(LedgerUnavailable, match="57014"):
        database.rows(SLEEP)
    assert database.rows(ONE) == [{"one": 1}]
    database.close()


def test_a_server_that_says_nothing_any_more_is_given_up(url):
    database = Place(url=url).open(writes=True)
    patience_s, database._answer_s = database._answer_s, 0.2
    with pytest.raises(LedgerUnavailable, match="TimeoutError"):
        database.rows(SLEEP)
    database._answer_s = patience_s  # this machine may be as slow
    assert database.rows(ONE) == [{"one": 1}]
    database.close()


def test_a_connection_that_was_given_up_can_be_closed(url):
    database = Place(url=url).open(writes=True)
    database._answer_s = 0.2
    with pytest.raises(LedgerUnavailable):
        database.rows(SLEEP)
    database.close()
    assert database._loop.is_closed()


def test_a_server_that_does_not_even_greet_is_given_up(monkeypatch):
    monkeypatch.setattr(postgres, "CONNECT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(LedgerUnavailable, match="TimeoutError"):
            Place(url=f"postgresql://u:s3cret@127.0.0.1:{port}/db").open(writes=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda url: url + "x", r"3D000.*createdb"),
        (lambda url: url.replace("postgres@", "nobody:s3cret@"), "28"),
        (lambda url: url.replace(url.split("@")[1].split("/")[0], "127.0.0.1:1"), "server runs"),
        (lambda url: url.replace("@", ":s3cret@") + "?sslmode=verify-nothing", "cannot be used"),
    ],
)
def test_a_database_that_cannot_be_opened_is_named_without_a_password(url, change, words):
    wrong = change(url)
    with pytest.raises(LedgerUnavailable, match=words) as refused:
        Place(url=wrong).open(writes=True)
    assert "s3cret" not in str(refused.value)
    assert "postgresql://" in str(refused.value)


def test_no_task_or_connection_is_left_by_a_closed_one(url):
    server, _, name = url.rpartition("/")
    opened = Place(url=url).open(writes=True)
    opened.rows(ONE)
    opened.close()
    counted = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'"
    while postgres_service.command(server, counted) != [(0,)]:
        pass  # the server notices in its own time
    assert opened._loop.is_closed()

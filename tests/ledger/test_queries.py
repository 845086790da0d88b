import re
from pathlib import Path

import pytest

from gatemill.core.call import UsageRow
from gatemill.ledger import queries

ROOMS = ("schema", "keys", "usage")
EVERY = [query for room in ROOMS for query in queries.load(room).values()]


@pytest.mark.parametrize("query", EVERY, ids=lambda query: query.name)
def test_every_query_says_what_it_does(query):
    assert re.fullmatch(r"[A-Z].+\.", query.about)


@pytest.mark.parametrize("query", EVERY, ids=lambda query: query.name)
def test_parameters_become_question_marks_in_their_order(query):
    assert "?" not in query.text
    assert query.question.count("?") == len(query.params)
    assert not re.search(r":[a-z]", query.question)
    assert "--" not in query.question


def test_a_parameter_used_twice_is_bound_twice():
    assert queries.load("keys")["end_key"].params == ("revoked_s", "id", "revoked_s")


def test_every_file_of_queries_is_covered_here():
    folder = Path(queries.__file__).parent / "sql"
    assert {path.stem for path in folder.glob("*.sql")} == set(ROOMS)


def test_rows_of_usage_are_bound_in_the_order_of_their_fields():
    assert queries.load("usage")["insert_usage"].params == UsageRow.__struct_fields__


def test_migrations_are_numbered_from_one():
    steps = queries.migrations()
    assert [step.version for step in steps] == list(range(1, len(steps) + 1))
    assert steps[0].name == "keys_and_usage"
    assert len(steps[0].statements) == 7


@pytest.mark.parametrize("word", ["AUTOINCREMENT", "INSERT OR", "PRAGMA", "ROWID", "json_", "::"])
def test_no_sql_is_written_for_one_database_only(word):
    folder = Path(queries.__file__).parent / "sql"
    assert not [path for path in folder.rglob("*.sql") if word.lower() in path.read_text().lower()]

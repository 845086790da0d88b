import re
from pathlib import Path

import pytest

from gatemill.core.call import UsageRow
from gatemill.ledger import queries

FOLDER = Path(queries.__file__).parent / "sql"
ROOMS = sorted(path.stem for path in FOLDER.glob("*.sql"))
_PIECE = re.compile(r"^-- ({\w+}) --$", re.MULTILINE)
EVERY = [query for room in ROOMS for query in queries.load(room).values()]


def test_every_query_says_what_it_does():
    assert not [one.name for one in EVERY if not re.fullmatch(r"[A-Z].+\.", one.about)]


def test_parameters_become_question_marks_in_their_order():
    for query in EVERY:
        assert "?" not in query.text, query.name
        assert query.question.count("?") == len(query.params), query.name
        assert not re.search(r":[a-z]", query.question), query.name
        assert "--" not in query.question, query.name


def test_a_parameter_used_twice_is_bound_twice():
    assert queries.load("keys")["end_key"].params == ("revoked_s", "id", "revoked_s")


def test_parameters_become_numbers_and_a_name_has_one():
    for query in EVERY:
        assert not re.search(r":[a-z]", query.dollar), query.name
        numbers = {int(n) for n in re.findall(r"\$(\d+)", query.dollar)}
        assert numbers == set(range(1, len(query.dollar_params) + 1)), query.name
        assert set(query.dollar_params) == set(query.params), query.name
        named = query.dollar
        for number, name in reversed(list(enumerate(query.dollar_params, 1))):
            named = named.replace(f"${number}", f":{name}")
        for word, locking in sorted(queries.LOCKS.items(), reverse=True):
            named = named.replace(locking, f" {{{word}}}")
        assert named == query.text, query.name


def test_a_parameter_used_twice_has_one_number():
    end = queries.load("keys")["end_key"]
    assert end.dollar_params == ("revoked_s", "id")
    assert end.dollar.count("$1") == 2


def test_words_about_locks_are_for_postgres_alone():
    lock = queries.literal("lock", "SELECT 1 FROM t WHERE a = :a {skip_locked}")
    assert lock.question == "SELECT 1 FROM t WHERE a = ?"
    assert lock.dollar == "SELECT 1 FROM t WHERE a = $1 FOR UPDATE SKIP LOCKED"
    lock = queries.literal("lock", "SELECT 1 FROM t {locked}")
    assert (lock.question, lock.dollar) == ("SELECT 1 FROM t", "SELECT 1 FROM t FOR UPDATE")


def test_an_insert_of_many_rows_numbers_its_values_through():
    insert = queries.literal("add", "INSERT INTO t (a, b) VALUES (:a, :b) ON CONFLICT DO NOTHING")
    assert insert.repeated(2) == "INSERT INTO t (a, b) VALUES (?, ?), (?, ?) ON CONFLICT DO NOTHING"
    assert (
        insert.repeated_dollar(3)
        == "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4), ($5, $6) ON CONFLICT DO NOTHING"
    )


def test_statements_about_a_table_name_its_columns():
    add = queries.of_table("add_row", "facts", ("name", "value"))
    assert add.text == "INSERT INTO facts (name, value) VALUES (:name, :value)"
    assert queries.of_table("every_row", "facts", ("name", "value")).text == (
        "SELECT name, value FROM facts"
    )


def test_a_piece_that_several_queries_say_stands_in_each_of_them():
    found = queries.load("requests")
    older, newer = found["older"].text, found["newer"].text
    assert older.partition("ORDER BY")[0] == newer.partition("ORDER BY")[0]
    assert older.startswith("SELECT attempt_id, request_id, ")
    assert "WHERE at >= :since_s AND at <= :until_s" in older
    for path in FOLDER.glob("*.sql"):
        pieces = _PIECE.findall(path.read_text())
        texts = [one.text for one in queries.load(path.stem).values()]
        assert not [piece for piece in pieces if any(piece in text for text in texts)], path


def test_rows_of_usage_are_bound_in_the_order_of_their_fields():
    insert = queries.load("usage")["insert_usage"]
    assert insert.params == (*UsageRow.__struct_fields__, "written_s")


def test_migrations_are_numbered_from_one():
    steps = queries.migrations()
    assert [step.version for step in steps] == list(range(1, len(steps) + 1))
    assert steps[0].name == "keys_and_usage"
    assert len(steps[0].statements) == 7


@pytest.mark.parametrize("word", ["AUTOINCREMENT", "INSERT OR", "PRAGMA", "ROWID", "json_", "::"])
def test_no_sql_is_written_for_one_database_only(word):
    # What a catalogue looks like, and how words and vectors are found, is each database's own affair.
    own = {"catalog", "knowledge_sqlite", "knowledge_postgres"}
    shared = [path for path in FOLDER.rglob("*.sql") if path.stem not in own]
    assert not [path for path in shared if word.lower() in path.read_text().lower()]

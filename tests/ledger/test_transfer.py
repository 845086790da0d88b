import io
import itertools
import random

import msgspec
import pytest

import databases
from gatemill.core.errors import Conflict, InvalidValue, LedgerUnavailable
from gatemill.core.limits import Budget, Limits
from gatemill.ledger import audit, keys, pepper, queries, teams, transfer, usage, users
from gatemill.ledger.keys import Scope
from gatemill.ledger.place import Place
from gatemill.ledger.teams import Team
from gatemill.ledger.users import User
from usage_rows import usage_row

PEPPER = bytes(range(32))
MARK = pepper.mark(PEPPER)
NOW_S = 1_763_700_000.0
ROWS = 1_234
WAYS = list(itertools.product(databases.KINDS, databases.KINDS))


def fill(database):
    """Something in every table that has a story, odd values included; the secrets of two keys."""
    pepper.bind(database, PEPPER)
    limits = Limits(budgets=(Budget("month", 5_000_001),))
    teams.create(database, Team("core", "Kern Zoë 🦆", limits, NOW_S), "cli")
    users.create(database, User("anna", 'a "quoted"\nname', "core", created_s=NOW_S), "cli")
    made = [
        keys.create(database, PEPPER, Scope("live", user_id="anna", expires_s=NOW_S + 9), NOW_S),
        keys.create(database, PEPPER, Scope("admin", admin=True), NOW_S),
    ]
    keys.rotate(database, PEPPER, made[1].key.id, 60.5, NOW_S)
    some = random.Random(7)
    rows = [
        usage_row(
            number,
            at=NOW_S + some.random() * 900,
            key_id=made[number % 2].key.id,
            cost_microusd=some.choice([None, 0, some.randrange(10**12)]),
            latency_ms=some.random() * 1e4,
            stream=some.random() < 0.5,
            user_id="anna",
        )
        for number in range(ROWS)
    ]
    usage.insert(database, rows, NOW_S)
    fill_the_rest(database)
    return [new.secret for new in made]


def fill_the_rest(database):
    """A row in every table that has none, with a value of each kind: bytes among them."""
    values = {
        "text": "x\n'",
        "bigint": 2**62,
        "integer": 2**30,
        "boolean": True,
        "double precision": 0.1,
        "bytea": b"\0\xff{}\n",
    }
    for table, kinds in database.tables().items():
        if not database.rows(queries.of_table("count_rows", table))[0]["rows"]:
            row = {column: values[kind] for column, kind in kinds.items()}
            database.run(queries.of_table("add_row", table, tuple(kinds)), row)


def every_row(database, table):
    query = queries.of_table("every_row", table, tuple(database.tables()[table]))
    return sorted(map(tuple, (row.values() for row in database.rows(query))), key=str)


def exported(place):
    reader = place.open(writes=False)
    file = io.BytesIO()
    transfer.export(reader, file)
    reader.close()
    file.seek(0)
    return file


@pytest.fixture
def source(tmp_path):
    """An SQLite database with everything in it, as a file."""
    place = Place(path=tmp_path / "source.db")
    with databases.migrated(place) as database:
        fill(database)
    return exported(place)


@pytest.fixture
def target(tmp_path):
    with databases.migrated(Place(path=tmp_path / "target.db")) as database:
        yield database


@pytest.mark.parametrize(("one", "other"), WAYS)
def test_a_database_moves_with_every_key_and_every_micro_dollar(tmp_path, one, other):
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    with (
        databases.empty(one, tmp_path / "one") as old,
        databases.empty(other, tmp_path / "other") as new,
        databases.migrated(old) as before,
        databases.migrated(new) as after,
    ):
        secrets = fill(before)
        file = exported(old)
        rows = transfer.import_(after, file, MARK)
        assert rows == transfer.count_rows(before)
        assert rows["usage"] == ROWS
        pepper.bind(after, PEPPER)
        known = [keys.load(each, PEPPER, NOW_S) for each in (before, after)]
        for secret in secrets:
            found = known[0].identify(secret.encode())
            assert found is not None
            assert known[1].identify(secret.encode()) == found
        assert known[0].version == known[1].version
        span = (NOW_S - 1, NOW_S + 1000)
        assert usage.totals(after, *span) == usage.totals(before, *span)
        assert usage.spent(after, "user", "anna", *span) == usage.spent(
            before, "user", "anna", *span
        )
        assert usage.recent(after, ROWS) == usage.recent(before, ROWS)
        assert all(rows.values())  # no table was left out of this test
        for table in rows:
            assert every_row(after, table) == every_row(before, table)
        assert audit.listed(after, 99, None) == audit.listed(before, 99, None)
        assert users.listed(after, 9) == users.listed(before, 9)
        # And on from there: the same file again, whichever the kind.
        again = exported(new)
        assert sorted(again.readlines()) == sorted(file.getvalue().splitlines(keepends=True))


def test_only_an_empty_database_is_filled(source, target):
    teams.create(target, Team("there", "There"), "cli")
    with pytest.raises(Conflict, match=r"table (audit|teams) has rows"):
        transfer.import_(target, source, MARK)
    assert [team.id for team in teams.listed(target, 9)] == ["there"]
    assert usage.recent(target, 9) == []


def test_a_database_that_has_been_started_is_not_empty(source, target):
    pepper.bind(target, PEPPER)
    with pytest.raises(Conflict, match="facts"):
        transfer.import_(target, source, MARK)


def test_keys_of_another_pepper_are_not_let_in(source, target):
    with pytest.raises(InvalidValue, match="another pepper"):
        transfer.import_(target, source, pepper.mark(bytes(32)))
    source.seek(0)
    assert transfer.import_(target, source, None)["usage"] == ROWS


def test_rows_that_are_not_in_the_file_are_noticed(source, target):
    class Disturbed(io.BytesIO):
        def seek(self, place):
            target.run(queries.load("schema")["set_fact"], {"name": "new", "value": "x"})
            return super().seek(place)

    with pytest.raises(LedgerUnavailable, match="does not hold what the file does"):
        transfer.import_(target, Disturbed(source.getvalue()), MARK)


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.999])
def test_a_file_that_was_cut_off_changes_nothing(source, target, kept):
    data = source.getvalue()
    before = transfer.count_rows(target)
    with pytest.raises(InvalidValue, match="cut off"):
        transfer.import_(target, io.BytesIO(data[: int(len(data) * kept)]), MARK)
    assert transfer.count_rows(target) == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: lines[:5] + lines[6:],
        lambda lines: [*lines[:5], b"[]\n", *lines[5:]],
        lambda lines: [*lines[:5], b'["nowhere",[1]]\n', *lines[5:]],
        lambda lines: [*lines[:5], b'["facts",["a"]]\n', *lines[5:]],
        lambda lines: [*lines[:5], b"\xff\n", *lines[5:]],
        lambda lines: [*lines, lines[-1]],
        lambda lines: lines[:-1],
        lambda lines: [*lines[:-1], b'{"what":"else"}\n'],
    ],
    ids=["a row less", "no row", "no table", "a value less", "no text", "two feet", "none", "else"],
)
def test_a_file_that_is_not_as_it_was_written_changes_nothing(source, target, damage):
    before = transfer.count_rows(target)
    file = io.BytesIO(b"".join(damage(source.readlines())))
    with pytest.raises(InvalidValue, match=r"Line \d+ of the file"):
        transfer.import_(target, file, MARK)
    assert transfer.count_rows(target) == before


@pytest.mark.parametrize(
    "data", [b"", b"hello\n", b"\xff\n", b"{}\n", b'{"what":"end","rows":{}}\n']
)
def test_another_file_is_none_of_ours(target, data):
    with pytest.raises(InvalidValue, match="no export"):
        transfer.import_(target, io.BytesIO(data), MARK)


def changed(source, **fields):
    head = msgspec.json.decode(source.readline()) | fields
    return io.BytesIO(msgspec.json.encode(head) + b"\n" + source.read())


def test_a_file_of_a_later_format_is_refused(source, target):
    with pytest.raises(InvalidValue, match="format 2, this Gatemill reads 1"):
        transfer.import_(target, changed(source, format=2), MARK)


def test_a_file_of_another_schema_is_refused_with_the_remedy(source, target):
    with pytest.raises(InvalidValue, match=r"schema version 1.*gatemill db upgrade"):
        transfer.import_(target, changed(source, schema=1), MARK)


def test_what_comes_during_an_export_is_not_half_in_it(tmp_path):
    place = Place(path=tmp_path / "busy.db")

    class Busy(io.BytesIO):
        """Whoever writes here lets another process change the database meanwhile."""

        def write(self, data):
            if self.tell() == 0:
                usage.insert(database, [usage_row("late", at=NOW_S)], NOW_S)
            return super().write(data)

    with databases.migrated(place) as database:
        fill(database)
        reader = place.open(writes=False)
        rows = transfer.export(reader, Busy())
        reader.close()
        assert rows["usage"] == ROWS
        assert transfer.count_rows(database)["usage"] == ROWS + 1

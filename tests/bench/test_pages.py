"""The rows that pages are measured with, and every page over some of them."""

from __future__ import annotations

import sqlite3

import pytest

from bench import machine, pages, pages_fill
from gatemill.core.call import UsageRow
from gatemill.ledger import queries, usage
from gatemill.ledger.place import Place
from quiet_ports import quiet_port

ROWS = 900
FIELDS = ", ".join(UsageRow.__struct_fields__)
SAME = {
    "usage_sums": "SELECT * FROM usage_sums ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11",
    "latency_sums": "SELECT * FROM latency_sums ORDER BY 1, 2, 3, 4, 5, 6",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("pages") / "made"
    pages.fill(made, ROWS)
    return made


def test_the_sums_of_rows_made_at_once_are_those_that_the_product_makes(folder, tmp_path):
    made = sqlite3.connect(folder / "data" / pages.DATABASE)
    rows = made.execute(f"SELECT {FIELDS} FROM usage").fetchall()
    assert len(rows) == ROWS
    place = Place(path=tmp_path / "gatemill.db")
    ours = place.open(writes=True)
    ours.migrate(queries.migrations(), 0.0)
    assert usage.insert(ours, [UsageRow(*row) for row in rows], 0.0) == []
    for table, text in SAME.items():
        found = [tuple(row.values()) for row in ours.rows(queries.literal(table, text))]
        assert made.execute(text).fetchall() == found, table
    ours.close()
    made.close()


def test_every_page_that_can_be_reached_is_there_with_its_twin(folder, monkeypatch):
    monkeypatch.setattr(machine, "free_port", quiet_port)  # others have tests here, too
    seen = pages.measured(folder, 0)
    assert [one.path for one in seen if one.status != 200] == []
    paths = {one.path for one in seen}
    assert {"/ui", "/ui/overview.json", "/ui/models", "/ui/models.json", "/ui/requests"} <= paths
    assert any(path.startswith("/ui/models/model-") for path in paths)


def test_kinds_of_addresses_do_not_tell_values_apart():
    assert pages._kind("/ui/keys/k1") == pages._kind("/ui/keys/k2")
    assert pages._kind("/ui/requests?key=a") == pages._kind("/ui/requests?key=b")
    assert pages._kind("/ui?range=1h") != pages._kind("/ui?range=7d")
    assert pages_fill.DAYS == 90

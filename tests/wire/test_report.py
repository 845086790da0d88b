"""A usage report as rows and as CSV."""

from __future__ import annotations

import csv
import io

import msgspec
import pytest

from gatemill.ledger.reports import LABELS, STEPS_S, Line
from gatemill.wire import report


def _line(**values):
    plain = {field.name: "" if field.type is str else 1 for field in msgspec.structs.fields(Line)}
    return {**plain, "start_s": 86_400, "cost_microusd": 1_500_000, **values}


def test_every_label_of_the_ledger_has_a_column():
    assert report.LABELS.keys() == set(LABELS)
    assert set(report.STEPS) == STEPS_S.keys()
    assert set(report.LABELS.values()) <= {field.name for field in msgspec.structs.fields(Line)}


def test_a_row_has_the_columns_in_their_order():
    by = ("team", "day")
    row = report.row(by, _line(team_id="core"), 1.23456)
    assert tuple(row) == report.columns(by)
    assert (row["team_id"], row["day"], row["cost_usd"]) == ("core", "1970-01-02", "1.500000")
    assert (row["prompt_tokens"], row["completion_tokens"]) == (4, 3)
    assert row["mean_latency_ms"] == 1.235
    assert report.row(("hour",), _line(), None)["hour"] == "1970-01-02T00:00:00Z"


@pytest.mark.parametrize("name", ["plain", 'with "quotes"', "with, comma", "two\nlines", "ünï"])
def test_a_table_can_be_read_again(name):
    rows = [report.row(("model",), _line(model=name), None)]
    found = list(csv.DictReader(io.StringIO(report.as_csv(("model",), rows), newline="")))
    assert [each["model"] for each in found] == [name]
    assert found[0]["mean_latency_ms"] == ""


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x", "\tx"])
def test_no_cell_is_a_formula(name):
    rows = [report.row(("model",), _line(model=name), None)]
    found = list(csv.DictReader(io.StringIO(report.as_csv(("model",), rows), newline="")))
    assert found[0]["model"] == "'" + name


def test_an_empty_table_has_its_names():
    assert report.as_csv((), []).split("\r\n") == [",".join(report.columns(())), ""]


def test_a_summary_is_in_dollars():
    assert report.summary({"requests": 1, "cost_microusd": 5}) == {
        "cost_usd": "0.000005",
        "requests": 1,
    }

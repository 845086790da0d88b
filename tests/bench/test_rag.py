"""The benchmark of questions: its text, its table, and one small real run."""

from __future__ import annotations

import os

import msgspec
import pytest
from bench.machine import Machine

from bench import rag

HERE = Machine("Some CPU", 2, 25_000_000_000, "Linux 6", "3.11.7")


def test_made_up_text_is_the_same_in_every_run_and_has_the_words_of_english():
    first, second = rag.Words(), rag.Words()
    text = first.text(90)
    assert text == second.text(90)
    assert text != first.text(90)
    words = text.replace(".", "").split()
    assert len(words) == 90
    assert 20 < sum(word in rag.COMMON for word in words) < 70
    assert len(set(first._words)) == rag.VOCABULARY


def test_the_table_has_a_row_for_each_figure():
    result = rag.Result(
        "2026-11-21T10:00:00+00:00",
        "python -m bench.rag",
        HERE,
        {"keyword_p50_ms": 4.25},
        ["A note."],
    )
    assert rag.render(result) == (
        "`python -m bench.rag`, 2026-11-21, 2 cores of Some CPU, 25 GB, Linux 6, Python 3.11.7.\n\n"
        "| measure | SQLite | target |\n| --- | ---: | ---: |\n"
        "| RAG query by words, passages alone, p50, ms | 4.2 | < 30 |\n\n- A note.\n"
    )


@pytest.fixture
def cores():
    """A run keeps a core free for the server; the tests after it get all of them back."""
    before = os.sched_getaffinity(0)
    yield
    os.sched_setaffinity(0, before)


def test_a_small_run_measures_everything(tmp_path, capsys, monkeypatch, cores):
    monkeypatch.setattr(rag, "QUICK", rag.Sizes(chunks=40, questions=3))
    out = tmp_path / "rag.json"
    assert rag.main(["--quick", "--out", str(out)]) == 0
    figures = msgspec.json.decode(out.read_bytes())["figures"]
    assert set(figures) == {row for row, *_ in rag.ROWS}
    assert all(value > 0 for value in figures.values())
    assert "40 passages" in capsys.readouterr().out

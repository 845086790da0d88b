"""What the journal keeps, hides and forgets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gatemill.fake_provider.journal import BODIES_BYTES_MAX, BODY_BYTES_MAX, ROWS_MAX, Journal
from gatemill.fake_provider.steps import Request


def asked(body: bytes = b"{}", headers: list[tuple[str, str]] | None = None) -> Request:
    return Request("POST", "/v1/x", headers or [], body, "1.1", True, 0.0)


def opened(journal: Journal, body: bytes = b"{}", decoded: Any = None) -> Any:
    return journal.open(asked(body), 1, decoded)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("authorization", "Bearer sk-secret-7890", "Bearer ...7890"),
        ("authorization", "sk-secret-7890", "...7890"),
        ("x-api-key", "sk-ant-secret-1234", "...1234"),
        ("api-key", "azure-secret-5678", "...5678"),
        ("cookie", "a=hidden; b=shown", "...hown"),
        ("authorization", "Bearer short", "Bearer ..."),
        ("user-agent", "curl/8 (test)", "curl/8 (test)"),
    ],
)
def test_secrets_keep_their_last_four_characters(name: str, value: str, shown: str) -> None:
    row = Journal().open(asked(headers=[(name, value)]), 1, {})
    assert row.headers == [(name, shown)]
    assert row.header(name) == shown
    assert row.header("absent") == ""


def test_body_is_json_or_text_and_large_ones_are_cut() -> None:
    journal = Journal()
    assert opened(journal, b'{"a":1}', {"a": 1}).body == {"a": 1}
    assert opened(journal, b"not json \xff").body == "not json �"
    large = b'"%b"' % (b"x" * BODY_BYTES_MAX)
    row = opened(journal, large, "decoded")
    assert len(row.body) == BODY_BYTES_MAX
    assert row.body_bytes == len(large)


def test_oldest_rows_make_room_and_are_counted() -> None:
    journal = Journal()
    for _ in range(ROWS_MAX + 3):
        opened(journal)
    assert (len(journal), journal.dropped, journal[0].sequence) == (ROWS_MAX, 3, 4)


def test_bodies_together_are_bounded() -> None:
    journal = Journal()
    body = b"x" * (2 * BODY_BYTES_MAX)
    held_max = BODIES_BYTES_MAX // BODY_BYTES_MAX
    for _ in range(held_max + 1):
        opened(journal, body)
    assert (len(journal), journal.dropped) == (held_max, 1)


def test_cleared_journal_is_empty_and_counts_on() -> None:
    journal = Journal()
    opened(journal)
    journal.clear()
    assert (len(journal), journal.dropped, list(journal)) == (0, 0, [])
    assert opened(journal).sequence == 2


async def test_wait_for_finds_a_row_that_is_there() -> None:
    journal = Journal()
    row = opened(journal)
    assert await journal.wait_for(lambda row: row.connection == 1, 0) is row


async def test_wait_for_is_woken_by_a_change() -> None:
    journal = Journal()
    row = opened(journal)

    def end() -> None:
        journal.changed(row)
        row.outcome = "complete"
        journal.changed(row)
        journal.changed(row)

    asyncio.get_running_loop().call_soon(end)
    assert await journal.wait_for(lambda row: row.outcome == "complete", 10) is row


async def test_wait_that_is_in_vain_says_how_the_rows_stand() -> None:
    journal = Journal()
    opened(journal)
    with pytest.raises(TimeoutError, match=r"1 /v1/x running"):
        await journal.wait_for(lambda row: False, 0.01)
    assert journal._waiters == []

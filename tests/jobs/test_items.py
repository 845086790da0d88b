"""The items of a file, one in each line."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from gatemill.core.errors import InvalidValue, NotFound
from gatemill.jobs import items
from gatemill.jobs.context import Quit
from gatemill.jobs.items import FILE_BYTES_MAX, check_size, items_of


class Files:
    """One file, of ada's."""

    def __init__(self, data, file_bytes=None):
        self._data = data
        self._bytes = len(data) if file_bytes is None else file_bytes

    async def get(self, file_id, owner):
        if (file_id, owner) != ("file-1", "ada"):
            raise NotFound("gone")
        return SimpleNamespace(bytes=self._bytes)

    async def content(self, file_id):
        half = len(self._data) // 2
        yield self._data[:half]
        yield self._data[half:]


async def read(data, file_id="file-1", file_bytes=None):
    services = SimpleNamespace(ledger=SimpleNamespace(files=Files(data, file_bytes)))
    return await items_of(
        SimpleNamespace(services=services, job=SimpleNamespace(owner="ada")), file_id
    )


async def test_a_line_is_a_text_a_quoted_text_or_an_object():
    found = await read(b'plain, "text"\r\n\n  \n"quoted\\ntext"\n{"input": "x"}\nlast')
    assert found[:2] + found[3:] == ['plain, "text"', "quoted\ntext", "last"]
    assert bytes(found[2]["input"]) == b'"x"'


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "holds no text"),
        (b" \n\n", "holds no text"),
        (b"fine\n\xff\xfe", "Line 2"),
        (b'{"input": ', "Line 1"),
        (b'"half', "Line 1"),
    ],
)
async def test_a_file_that_is_none_ends_the_job_with_the_reason(data, words):
    with pytest.raises(Quit) as ended:
        await read(data)
    assert words in ended.value.problem.message


async def test_a_file_of_somebody_else_is_not_there():
    with pytest.raises(Quit) as ended:
        await read(b"x", "file-2")
    assert ended.value.problem.code == "not_found"


async def test_too_many_lines_and_bytes_are_refused(monkeypatch):
    monkeypatch.setattr(items, "ITEMS_MAX", 2)
    assert len(await read(b"a\nb\n")) == 2
    with pytest.raises(Quit, match="invalid_value"):
        await read(b"a\nb\nc\n")
    with pytest.raises(Quit, match="invalid_value"):
        await read(b"a", file_bytes=FILE_BYTES_MAX + 1)
    check_size(FILE_BYTES_MAX)
    with pytest.raises(InvalidValue):
        check_size(FILE_BYTES_MAX + 1)


async def test_a_line_beyond_all_measure_is_named(monkeypatch):
    from gatemill.wire import batch

    monkeypatch.setattr(batch, "LINE_BYTES_MAX", 10)
    with pytest.raises(Quit) as ended:
        await read(b"short\n" + b"x" * 100)
    assert "Line 2" in ended.value.problem.message

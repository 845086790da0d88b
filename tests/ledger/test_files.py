import asyncio
from contextlib import aclosing

import pytest

from gatemill.core.clock import FakeClock
from gatemill.core.errors import NotFound, RequestTooLarge
from gatemill.ledger.files import CHUNK_BYTES, DROP_CHUNKS, UNFINISHED_S, Label
from gatemill.ledger.ledger import Ledger
from gatemill.ledger.queries import literal

NOW_S = 1_763_700_000.0
LABEL = Label("batch", "in.jsonl", None)
CHUNKS = literal("chunks", "SELECT count(*) AS rows FROM file_chunks")
FILES = literal("files", "SELECT count(*) AS rows FROM files")


@pytest.fixture
def clock():
    return FakeClock(NOW_S)


@pytest.fixture
async def ledger(place, tmp_path, clock):
    opened = Ledger.open(tmp_path, place.url, clock)
    yield opened
    await opened.close()


@pytest.fixture
def files(ledger):
    return ledger.files


async def made(files, file_id="file-1", data=b"hello", label=LABEL, owner="key:a"):
    draft = await files.begin(file_id, owner, None)
    await draft.write(data)
    return await files.finish(draft, label)


async def read(files, file_id):
    async with aclosing(files.content(file_id)) as pieces:
        return [piece async for piece in pieces]


async def rows(place, query):
    def count():
        database = place.open(writes=False)
        try:
            return database.rows(query)[0]["rows"]
        finally:
            database.close()

    return await asyncio.to_thread(count)


@pytest.mark.parametrize(
    "size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, 4 * CHUNK_BYTES, 9 * CHUNK_BYTES + 5]
)
async def test_bytes_come_back_in_pieces_of_one_size(files, size):
    data = bytes(range(251)) * (size // 251 + 1)
    data = data[:size]
    draft = await files.begin("file-1", "key:a", None)
    for at in range(0, size, 100_000):
        await draft.write(data[at : at + 100_000])
    file = await files.finish(draft, LABEL)
    assert (file.bytes, file.filename, file.purpose) == (size, "in.jsonl", "batch")
    pieces = await read(files, "file-1")
    assert b"".join(pieces) == data
    assert all(len(piece) == CHUNK_BYTES for piece in pieces[:-1])


async def test_reading_can_begin_with_any_piece(files):
    await made(files, data=b"a" * CHUNK_BYTES + b"b")
    async with aclosing(files.content("file-1", 1)) as pieces:
        assert [piece async for piece in pieces] == [b"b"]


async def test_nobody_sees_a_file_before_it_is_complete(files):
    draft = await files.begin("file-1", "key:a", None)
    await draft.write(b"x")
    with pytest.raises(NotFound):
        await files.get("file-1", "key:a")
    assert await files.listed("key:a", "", 10, "") == []
    with pytest.raises(NotFound):
        await files.delete("file-1", "key:a")
    file = await files.finish(draft, LABEL)
    assert await files.get("file-1", "key:a") == file


async def test_another_owners_file_is_not_there(files):
    await made(files)
    with pytest.raises(NotFound):
        await files.get("file-1", "key:b")
    with pytest.raises(NotFound):
        await files.delete("file-1", "key:b")
    assert await files.listed("key:b", "", 10, "") == []
    assert (await files.get("file-1", "key:a")).bytes == 5


async def test_a_list_has_pages_in_both_orders_and_by_purpose(files):
    for number in range(5):
        purpose = "vision" if number % 2 else "batch"
        await made(files, f"file-{number}", label=Label(purpose, "n", None))

    async def ids(*args, **more):
        return [file.id[-1] for file in await files.listed("key:a", *args, **more)]

    assert await ids("", 2, "") == ["4", "3"]
    assert await ids("", 2, "file-3") == ["2", "1"]
    assert await ids("", 10, "file-1", oldest_first=True) == ["2", "3", "4"]
    assert await ids("vision", 10, "") == ["3", "1"]


async def test_a_deleted_file_leaves_nothing(files, place):
    await made(files, data=b"x" * (DROP_CHUNKS + 3) * CHUNK_BYTES)
    await files.delete("file-1", "key:a")
    with pytest.raises(NotFound):
        await files.get("file-1", "key:a")
    assert await rows(place, CHUNKS) == await rows(place, FILES) == 0


async def test_a_file_that_was_given_up_leaves_nothing_and_takes_no_more(files, place):
    draft = await files.begin("file-1", "key:a", None)
    await draft.write(b"x" * 5 * CHUNK_BYTES)
    await files.abandon("file-1")
    assert await rows(place, CHUNKS) == await rows(place, FILES) == 0
    with pytest.raises(NotFound):
        await draft.write(b"x" * 5 * CHUNK_BYTES)


async def test_a_complete_file_cannot_be_given_up(files):
    await made(files)
    await files.abandon("file-1")
    assert await read(files, "file-1") == [b"hello"]


async def test_all_files_of_an_owner_hold_so_many_bytes_and_no_more(files):
    await made(files, "file-1", b"x" * 60)
    draft = await files.begin("file-2", "key:a", 100)
    await draft.write(b"x" * 40)
    await files.finish(draft, LABEL)
    draft = await files.begin("file-3", "key:a", 100)
    await draft.write(b"x")
    with pytest.raises(RequestTooLarge):
        await files.finish(draft, LABEL)
    assert (await made(files, "file-4", b"x" * 100, owner="key:b")).bytes == 100


async def test_uploads_at_the_same_time_share_that_room(files):
    most = 8 * CHUNK_BYTES
    one, other = [await files.begin(f"file-{n}", "key:a", most) for n in "12"]
    await one.write(b"x" * 5 * CHUNK_BYTES)
    with pytest.raises(RequestTooLarge):
        await other.write(b"x" * 5 * CHUNK_BYTES)


async def test_a_file_expires_and_is_deleted_in_time(files, clock, place):
    await made(files, label=Label("batch", "n", 3600.0))
    await made(files, "file-2")
    assert (await files.get("file-1", "key:a")).expires_at == NOW_S + 3600
    clock.advance(3600.0)
    with pytest.raises(NotFound):
        await files.get("file-1", "key:a")
    assert [file.id for file in await files.listed("key:a", "", 10, "")] == ["file-2"]
    assert await files.retain() == 1
    assert await files.retain() == 0
    assert await rows(place, CHUNKS) == await rows(place, FILES) == 1


async def test_an_upload_that_broke_off_is_deleted_in_time(files, clock, place):
    broken = await files.begin("file-1", "key:a", None)
    await broken.write(b"x" * 5 * CHUNK_BYTES)
    clock.advance(UNFINISHED_S - 1)
    slow = await files.begin("file-2", "key:a", None)
    await slow.write(b"x" * 5 * CHUNK_BYTES)
    assert await files.retain() == 0
    clock.advance(1.0)
    assert await files.retain() == 1
    assert (await files.finish(slow, LABEL)).bytes == 5 * CHUNK_BYTES
    with pytest.raises(NotFound):
        await files.finish(broken, LABEL)
    assert await rows(place, FILES) == 1


async def test_many_files_at_once_do_not_mix(files):
    async def one(number):
        data = bytes([number]) * (3 * CHUNK_BYTES + number)
        await made(files, f"file-{number:02}", data)
        assert b"".join(await read(files, f"file-{number:02}")) == data

    await asyncio.gather(*(one(number) for number in range(1, 9)))


async def test_what_goes_missing_ends_a_download_early(files):
    await made(files, data=b"x" * 9 * CHUNK_BYTES)
    async with aclosing(files.content("file-1")) as pieces:
        assert len(await anext(pieces)) == CHUNK_BYTES
        await files.delete("file-1", "key:a")
        left = [piece async for piece in pieces]
    assert len(left) == 3

"""Stored texts for jobs: files and whole stores of the owner, each of which may fail alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from api import api
from filled_stores import filled, owner_of_secret
from gatemill.core.call import Key
from gatemill.core.errors import (
    InvalidValue,
    LedgerUnavailable,
    MissingParameter,
    NotFound,
    PermissionDenied,
    RequestTooLarge,
)
from gatemill.jobs import stored
from gatemill.jobs.context import Quit
from gatemill.jobs.kinds import documents, report
from gatemill.jobs.prompting import Document
from gatemill.jobs.trial import Trial
from house_for_tests import opened

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = {"a": ["Rain falls. ", "Snow falls."], "b": ["The sun shines."]}


class Running:
    """A context that has steps, an owner and a house."""

    def __init__(self, home: Any, owner: str) -> None:
        trial = Trial()
        self.services = home.jobs.services
        self.job = msgspec.structs.replace(trial.job, owner=owner)
        self.step = trial.step
        self.key = trial.key
        self.kept = trial.steps


@pytest.fixture
async def gate(tmp_path: Path):
    async with opened(tmp_path) as running:
        yield running


@pytest.fixture
def ctx(gate):
    return Running(gate.home, owner_of_secret(gate.home.ledger, gate.key))


async def upload(gate, name: str, data: bytes) -> str:
    async with api(gate) as ask:
        answer = await ask._client.post(
            "/v1/files",
            data={"purpose": "assistants"},
            files={"file": (name, data)},
            headers={"authorization": f"Bearer {gate.key}"},
        )
    return str(answer.json()["id"])


async def test_texts_of_the_job_of_files_and_of_a_store_come_in_this_order(gate, ctx, monkeypatch):
    monkeypatch.setattr(stored, "_PAGE", 1)  # more than one
    await filled(gate.home.ledger, ctx.job.owner, TEXTS)
    file_id = await upload(gate, "notes.md", b"# Notes\n\nIt hails.")
    given = await stored.given(ctx, [Document("own", "Wind.")], [file_id], "notes")
    assert [(one.id, one.title) for one in given] == [
        *(("own", ""), (file_id, "notes.md"), ("a", "a.md"), ("b", "b.md"))
    ]
    assert given[0].text == "Wind."
    assert "It hails." in given[1].text
    assert [one.text for one in given[2:]] == ["Rain falls. Snow falls.", "The sun shines."]


async def test_what_cannot_be_read_fails_alone(gate, ctx):
    junk = await upload(gate, "junk.pdf", b"%PDF-1.7 \x00\x01\x02 junk")
    good, bad, gone = await stored.given(ctx, [Document("own", "Wind.")], [junk, "file-none"], "")
    assert good.problem is None
    assert (bad.title, bad.text) == ("junk.pdf", "")
    assert bad.problem.message
    assert gone.problem.code == "not_found"


async def test_which_documents_are_read_is_decided_once(gate, ctx):
    ledger = gate.home.ledger
    store = await filled(ledger, ctx.job.owner, TEXTS)
    await stored.given(ctx, [], [], "notes")
    await ledger.knowledge.detach(store, "a")
    await filled(ledger, ctx.job.owner, {"c": ["New."]}, name="other")
    a, b = await stored.given(ctx, [], [], "notes")
    assert a.problem.code == "not_found"
    assert b.text == "The sun shines."


async def test_somebody_elses_store_and_file_are_not_there(gate, ctx):
    await filled(gate.home.ledger, ctx.job.owner, TEXTS)
    file_id = await upload(gate, "mine.txt", b"Secret.")
    other = Running(gate.home, "key:somebody")
    with pytest.raises(NotFound):
        await stored.given(other, [], [], "notes")
    (given,) = await stored.given(other, [], [file_id], "")
    assert (given.text, given.problem.code) == ("", "not_found")


async def test_too_many_documents_are_refused(gate, ctx, monkeypatch):
    await filled(gate.home.ledger, ctx.job.owner, TEXTS)
    monkeypatch.setattr(stored, "DOCUMENTS_MAX", 1)
    with pytest.raises(RequestTooLarge, match="one job reads 1"):
        await stored.given(ctx, [], [], "notes")
    monkeypatch.setattr(stored, "DOCUMENTS_MAX", 10)
    monkeypatch.setattr(stored, "TEXT_BYTES_MAX", 20)
    with pytest.raises(RequestTooLarge, match="20 bytes"):
        await stored.given(Running(gate.home, ctx.job.owner), [], [], "notes")


async def test_what_may_pass_fails_the_attempt(ctx):
    class Away:
        async def get(self, file_id: str, owner: str) -> Any:
            raise LedgerUnavailable("away")

    ctx.services = SimpleNamespace(ledger=SimpleNamespace(files=Away()))
    with pytest.raises(LedgerUnavailable):
        await stored.given(ctx, [], ["file-1"], "")


def test_some_documents_must_be_named_and_no_file_twice():
    key = Key("k", "k", scopes=("jobs",))
    stored.check([], ["file-1"], "", key)
    with pytest.raises(MissingParameter, match="file_ids"):
        stored.check([], [], "", key)
    with pytest.raises(InvalidValue, match="twice"):
        stored.check([], ["file-1", "file-1"], "", key)


async def test_a_store_is_for_keys_that_may_read_stores_also_when_the_job_runs(ctx):
    ctx.key = Key("k", "k", scopes=("jobs", "inference"))
    with pytest.raises(PermissionDenied, match="knowledge"):
        stored.check([], [], "notes", ctx.key)
    with pytest.raises(PermissionDenied, match="knowledge"):
        await stored.given(ctx, [], [], "notes")


async def test_a_store_without_documents_has_no_report(gate):
    trial = of_house(gate)
    await filled(gate.home.ledger, trial.job.owner, {})
    with pytest.raises(Quit) as ended:
        await trial.run(report, model="echo", vector_store_id="notes")
    assert ended.value.problem.code == "no_documents"


async def test_a_report_over_a_store_names_its_documents(gate):
    trial = of_house(gate)
    await filled(gate.home.ledger, trial.job.owner, TEXTS)
    found = await trial.run(report, model="echo", vector_store_id="notes", file_ids=["file-none"])
    assert [(one["id"], one.get("title")) for one in found["sections"]] == [
        *(("file-none", None), ("a", "a.md"), ("b", "b.md"))
    ]
    assert found["sections"][0]["error"]["code"] == "not_found"
    assert found["failed"] == 1
    assert "summary" in found["sections"][1]
    report_body = trial.asked[-1][1]["messages"][1]["content"]
    assert "## a.md" in report_body


async def test_a_question_to_a_store_is_one_to_each_of_its_documents(gate):
    trial = of_house(gate)
    await filled(gate.home.ledger, trial.job.owner, TEXTS)
    asked = {"model": "echo", "instruction": "Sum up.", "vector_store_id": "notes"}
    found = await trial.run(documents, **asked, file_ids=["file-none"])
    gone, a, b = found["data"]
    assert (gone["id"], gone["error"]["code"], found["failed"]) == ("file-none", "not_found", 1)
    assert (a["id"], a["title"], a["answer"]) == ("a", "a.md", "Rain falls. Snow falls.")
    assert b["title"] == "b.md"


def of_house(gate: Any) -> Trial:
    """A trial of a job whose owner is the admin key's, and whose stores are the house's."""
    owner = owner_of_secret(gate.home.ledger, gate.key)

    class Owned(Trial):
        def _job(self, kind: str, attempt: int) -> Any:
            return msgspec.structs.replace(super()._job(kind, attempt), owner=owner)

    trial = Owned()

    class Both:
        ledger = gate.home.ledger
        rooms = gate.home.jobs.services.rooms
        gateway, clock = trial.services.gateway, trial.services.clock
        amounts = trial.services.amounts

    trial.services = Both()
    return trial

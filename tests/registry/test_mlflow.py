"""Models of an MLflow server: pinned, fetched once, followed; and what happens while it is away."""

from __future__ import annotations

from pathlib import Path

import pytest

import mlflow_server
from gatemill.core.errors import ModelLoadFailed, NotFound, UpstreamUnreachable
from gatemill.registry import mlflow as client
from gatemill.registry.mlflow import Mlflow, Server


@pytest.fixture
def fake():
    with mlflow_server.served() as found:
        found.aliases["tickets", "champion"] = "3"
        found.uris["tickets", "3"] = "mlflow-artifacts:/0/run/artifacts/model"
        found.files["0/run/artifacts/model/model.onnx"] = b"graph" * 300_000
        found.files["0/run/artifacts/model/more/config.json"] = b"{}"
        yield found


def made(fake, folder: Path, **more) -> Mlflow:
    known = {"url": fake.url, "token": "", "kept": folder, "timeout_s": 5.0, "size_bytes": 1 << 24}
    return Mlflow(Server(**{**known, "poll_s": 60.0, **more}))


def place(mlflow: Mlflow, source: str) -> Path:
    return Path(mlflow.place(source).removeprefix("file:"))


async def test_an_alias_is_pinned_to_the_version_that_it_means_now(fake, tmp_path):
    mlflow = made(fake, tmp_path, token="s3cret")
    assert await mlflow.pinned("mlflow:tickets@champion") == "mlflow:tickets/3"
    assert await mlflow.pinned("mlflow:tickets/2") == "mlflow:tickets/2"  # nobody is asked
    assert len(fake.asked) == 1
    assert fake.tokens == {"Bearer s3cret"}
    with pytest.raises(NotFound) as refused:
        await mlflow.pinned("mlflow:tickets@none")
    assert refused.value.param == "source"


async def test_files_are_fetched_once_with_their_folders(fake, tmp_path):
    mlflow = made(fake, tmp_path)
    source = "mlflow:tickets/3"
    await mlflow.fetch(source)
    assert (place(mlflow, source) / "model.onnx").read_bytes() == b"graph" * 300_000
    assert (place(mlflow, source) / "more" / "config.json").read_bytes() == b"{}"
    count = len(fake.asked)
    await mlflow.fetch(source)
    await mlflow.fetch("file:/somewhere/else")
    assert len(fake.asked) == count
    assert mlflow.place(source) != made(fake, tmp_path, url="http://other").place(source)


async def test_files_of_this_machine_are_copied_and_links_are_not(fake, tmp_path):
    kept = tmp_path / "theirs"
    (kept / "sub").mkdir(parents=True)
    (kept / "sub" / "model.onnx").write_bytes(b"graph")
    (kept / "link").symlink_to("/etc/passwd")
    fake.uris["tickets", "3"] = f"file://{kept}"
    mlflow = made(fake, tmp_path / "ours")
    await mlflow.fetch("mlflow:tickets/3")
    found = place(mlflow, "mlflow:tickets/3")
    assert [path.name for path in found.rglob("*") if path.is_file()] == ["model.onnx"]


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("s3://bucket/model", "s3://, which is not read from here"),
        ("file:///no/such/folder", "no folder of this machine"),
        ("mlflow-artifacts://[/model", "an address that is none"),
    ],
)
async def test_other_places_are_refused_with_the_remedy(fake, tmp_path, uri, message):
    fake.uris["tickets", "3"] = uri
    with pytest.raises(ModelLoadFailed, match=message):
        await made(fake, tmp_path).fetch("mlflow:tickets/3")
    assert list(tmp_path.iterdir()) == []


async def test_a_model_that_is_too_large_or_of_too_many_files_leaves_nothing(
    fake, tmp_path, monkeypatch
):
    with pytest.raises(ModelLoadFailed, match="1000 bytes"):
        await made(fake, tmp_path, size_bytes=1_000).fetch("mlflow:tickets/3")
    monkeypatch.setattr(client, "FILES_MAX", 1)
    with pytest.raises(ModelLoadFailed, match="more than 1 files"):
        await made(fake, tmp_path).fetch("mlflow:tickets/3")
    assert list(tmp_path.iterdir()) == []


async def test_a_file_cannot_leave_its_folder_and_folders_end(fake, tmp_path):
    fake.says = (
        b'{"artifact_uri": "mlflow-artifacts:/m", "files": [{"path": "..", "is_dir": false}]}'
    )
    with pytest.raises(ModelLoadFailed, match="leave its folder"):
        await made(fake, tmp_path).fetch("mlflow:tickets/3")
    fake.says = b'{"artifact_uri": "mlflow-artifacts:/m", "files": [{"path": "a\\u0000b"}]}'
    with pytest.raises(ModelLoadFailed, match=r"cannot be kept here: 'a\\x00b'"):
        await made(fake, tmp_path).fetch("mlflow:tickets/3")
    fake.says = b'{"artifact_uri": "mlflow-artifacts:/m", "files": [{"path": "a", "is_dir": true}]}'
    fake.asked.clear()
    mlflow = made(fake, tmp_path)
    await mlflow.fetch("mlflow:tickets/3")  # endless folders: nothing below the deepest
    assert len(fake.asked) < 12


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, NotFound),
        (401, ModelLoadFailed),
        (403, ModelLoadFailed),
        (302, UpstreamUnreachable),  # a redirect would carry the token elsewhere
        (500, UpstreamUnreachable),
    ],
)
async def test_a_refusal_is_told_in_our_words(fake, tmp_path, status, error):
    fake.status = status
    with pytest.raises(error):
        await made(fake, tmp_path, token="s3cret").pinned("mlflow:tickets@champion")
    assert fake.asked == ["/api/2.0/mlflow/registered-models/alias"]


async def test_what_is_no_mlflow_is_said_so(fake, tmp_path):
    fake.says = b"<html>"
    with pytest.raises(UpstreamUnreachable, match="is no MLflow"):
        await made(fake, tmp_path).pinned("mlflow:tickets@champion")
    with pytest.raises(UpstreamUnreachable, match="does not answer"):
        await made(fake, tmp_path, url="http://127.0.0.1:9").pinned("mlflow:tickets@champion")
    fake.says, fake.cut = None, "chunk"
    with pytest.raises(UpstreamUnreachable, match="does not answer"):
        await made(fake, tmp_path).pinned("mlflow:tickets@champion")
    fake.cut = "length"
    with pytest.raises(UpstreamUnreachable, match="does not answer"):
        await made(fake, tmp_path).fetch("mlflow:tickets/3")
    assert list(tmp_path.iterdir()) == []  # half a model is not kept
    fake.cut = ""
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ModelLoadFailed, match="cannot be kept"):
        await made(fake, blocked / "below").fetch("mlflow:tickets/3")

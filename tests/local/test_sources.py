from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
import zipfile
from pathlib import Path

import pytest

from gatemill.core.errors import ModelLoadFailed
from gatemill.core.model import ModelSpec
from gatemill.local import archive, manifest
from gatemill.local.sources import Sources, settings

BIG = 1 << 30


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    return Sources(tmp_path / "kept", BIG, "")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"graph")
    (folder / "config.json").write_text("{}")
    (folder / "1_Pooling" / "config.json").write_text("{}")
    (folder / "notes.md").write_text("not loaded")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "other.json").write_text("{}")
    return folder


def spec(source: str, engine: str = "onnx", sha256: str = "", **options) -> ModelSpec:
    return ModelSpec("m", "embed", engine, source, sha256, options)


def refused(sources: Sources, source: str, engine: str = "onnx", sha256: str = "") -> str:
    with pytest.raises(ModelLoadFailed) as failure:
        sources.folder(spec(source, engine, sha256))
    return failure.value.message


# --- Folders -------------------------------------------------------------------------------------


def test_a_folder_is_used_where_it_lies(sources, model, monkeypatch) -> None:
    assert sources.folder(spec(f"file:{model}")) == model
    assert sources.folder(spec(f"file://{model}")) == model
    monkeypatch.chdir(model.parent)
    assert sources.folder(spec("file:model")).resolve() == model


@pytest.mark.parametrize("source", ["", "file:", "minilm", "ftp:x", "s3://bucket/model"])
def test_a_source_that_is_none_says_what_one_is(sources, source: str) -> None:
    assert "file:/a/folder" in refused(sources, source)


def test_a_missing_folder_and_one_without_weights_are_refused(sources, tmp_path) -> None:
    assert "no folder" in refused(sources, f"file:{tmp_path}/none")
    (tmp_path / "empty").mkdir()
    assert "no .onnx file" in refused(sources, f"file:{tmp_path}/empty")


def test_weights_of_another_engine_are_refused_by_name(sources, model) -> None:
    assert "does not open `model.onnx`" in refused(sources, f"file:{model}", "torch")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pkl", "x.ckpt"])
def test_pickles_are_refused_with_the_reason(sources, model, name: str) -> None:
    (model / "model.onnx").rename(model / name)
    assert f"`{name}` is a pickle, which can run code" in refused(sources, f"file:{model}")


def test_a_pickle_beside_good_weights_is_never_opened(sources, model) -> None:
    (model / "pytorch_model.bin").write_bytes(b"evil")
    assert sources.folder(spec(f"file:{model}")) == model
    assert "pytorch_model.bin" not in manifest.manifest(model)


def test_remote_code_is_refused_where_it_would_be_run(sources, model) -> None:
    (model / "config.json").write_text('{"auto_map": {"AutoModel": "evil.Model"}}')
    (model / "model.safetensors").write_bytes(b"")
    assert "Python code of its own" in refused(sources, f"file:{model}", "torch")
    assert sources.folder(spec(f"file:{model}")) == model  # a graph holds all it needs


def test_settings_that_are_no_json_object_are_refused(model) -> None:
    (model / "config.json").write_text("[" * 100_000)
    with pytest.raises(ModelLoadFailed, match="not JSON"):
        settings(model, "config.json")
    (model / "config.json").write_text("[]")
    with pytest.raises(ModelLoadFailed, match="no JSON object"):
        settings(model, "config.json")


# --- Manifest ------------------------------------------------------------------------------------


def test_the_manifest_is_what_sha256sum_prints(model) -> None:
    lines = manifest.manifest(model).splitlines()
    graph = hashlib.sha256(b"graph").hexdigest()
    empty = hashlib.sha256(b"{}").hexdigest()
    assert lines == [
        f"{empty}  1_Pooling/config.json",
        f"{empty}  config.json",
        f"{graph}  model.onnx",
    ]
    assert manifest.digest(model) == hashlib.sha256(manifest.manifest(model).encode()).hexdigest()


def test_other_files_than_those_pinned_are_refused(sources, model) -> None:
    digest = manifest.digest(model)
    assert sources.folder(spec(f"file:{model}", sha256=digest.upper())) == model
    (model / "config.json").write_text('{"a": 1}')
    said = refused(sources, f"file:{model}", sha256=digest)
    assert digest in said
    assert manifest.digest(model) in said


# --- Archives ------------------------------------------------------------------------------------


def tar(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as file:
        for member, data in members:
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))
    return path


def plain(name: str) -> tarfile.TarInfo:
    return tarfile.TarInfo(name)


def linked(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_an_archive_is_unpacked_once(sources, tmp_path, kind: str) -> None:
    path = tmp_path / f"model.{kind}"
    if kind == "tar":
        tar(path, (plain("m/model.onnx"), b"graph"), (plain("m/config.json"), b"{}"))
    else:
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("m/model.onnx", b"graph")
            file.mkdir("m/empty")
    folder = sources.folder(spec(f"file:{path}"))
    assert (folder / "model.onnx").read_bytes() == b"graph"
    (folder / "mark").touch()
    assert sources.folder(spec(f"file:{path}")) == folder
    assert (folder / "mark").exists()
    assert [
        one for one in (tmp_path / "kept" / "unpacked").iterdir() if one.name.startswith(".")
    ] == []


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (linked("model.onnx", "/etc/passwd"), "no plain file"),
        (linked("model.onnx", "other", tarfile.LNKTYPE), "no plain file"),
        (linked("fifo", "", tarfile.FIFOTYPE), "no plain file"),
        (plain("../model.onnx"), "outside of its folder"),
        (plain("/etc/model.onnx"), "outside of its folder"),
        (plain("a\\..\\model.onnx"), "outside of its folder"),
        (plain("pytorch_model.bin"), "pickle"),
    ],
)
def test_what_an_archive_must_not_hold(sources, tmp_path, member, reason: str) -> None:
    path = tar(tmp_path / "m.tar.gz", (plain("config.json"), b"{}"), (member, b""))
    assert reason in refused(sources, f"file:{path}")
    assert list((tmp_path / "kept" / "unpacked").iterdir()) == []


def test_a_link_in_a_zip_is_refused(sources, tmp_path) -> None:
    path = tmp_path / "m.zip"
    member = zipfile.ZipInfo("model.onnx")
    member.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(member, "/etc/passwd")
    assert "no plain file" in refused(sources, f"file:{path}")


def test_an_archive_that_swells_or_breaks_is_refused(tmp_path) -> None:
    path = tar(tmp_path / "m.tar.gz", (plain("model.onnx"), b"\0" * 1_000_000))
    with pytest.raises(ModelLoadFailed, match="more than 999,999 bytes"):
        archive.unpacked(path, tmp_path / "kept", 999_999)
    junk = tmp_path / "junk.tar"
    junk.write_bytes(b"not an archive")
    with pytest.raises(ModelLoadFailed, match="no archive"):
        archive.unpacked(junk, tmp_path / "kept", BIG)
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ModelLoadFailed, match="no archive"):
        archive.unpacked(cut, tmp_path / "kept", BIG)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_that_is_broken_inside_is_refused(sources, tmp_path, method: int) -> None:
    path = tmp_path / "m.zip"
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr("model.onnx", bytes(range(256)) * 8)
    data = bytearray(path.read_bytes())
    data[60:140] = b"\xff" * 80
    path.write_bytes(data)
    assert re.search("no archive|cannot be read", refused(sources, f"file:{path}"))


def test_too_many_files_are_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(archive, "FILES_MAX", 2)
    path = tar(tmp_path / "m.tar", *((plain(f"{n}.json"), b"") for n in range(3)))
    with pytest.raises(ModelLoadFailed, match="more than 2 files"):
        archive.unpacked(path, tmp_path / "kept", BIG)


# --- What a hub is asked for ---------------------------------------------------------------------


def test_only_the_weights_that_are_used_are_wanted_of_a_hub() -> None:
    from gatemill.local.sources import weights_of

    assert weights_of(spec("hf:a/b@c")) == ("model.onnx", "model.onnx_data", "model.onnx.data")
    assert weights_of(spec("hf:a/b@c", file="model_int8.onnx"))[0] == "model_int8.onnx"
    assert weights_of(spec("hf:a/b@c", "torch")) == (".safetensors",)


def test_json_of_a_manifest_may_be_read(model) -> None:
    assert json.loads((model / "config.json").read_bytes()) == settings(model, "config.json")

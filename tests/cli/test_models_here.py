"""`gatemill models pull|export|bench|load|unload|list --local`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

import onnx_models
from cli_run import Command
from gatemill.local.manifest import digest
from house_for_tests import opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return onnx_models.folder(tmp_path / "model")


def test_pull_prints_the_folder_and_what_to_pin(gatemill: Command, folder: Path) -> None:
    result = gatemill("models", "pull", f"file:{folder}", "--manifest")
    *manifest, where, pinned = result.out.splitlines()
    assert [line.split("  ")[1] for line in manifest] == [
        "config.json",
        "model.onnx",
        "tokenizer.json",
    ]
    assert where == str(folder)
    assert pinned == f'sha256 = "{digest(folder)}"'
    as_json = msgspec.json.decode(gatemill("models", "pull", f"file:{folder}", "--json").out)
    assert as_json == {"folder": str(folder), "sha256": digest(folder)}


def test_pull_refuses_what_is_not_pinned_or_not_safe(gatemill: Command, folder: Path) -> None:
    result = gatemill("models", "pull", "hf:owner/name")
    assert result.code == 1
    assert "40 hex digits" in result.err
    (folder / "model.onnx").rename(folder / "pytorch_model.bin")
    assert "is a pickle" in gatemill("models", "pull", f"file:{folder}").err
    assert "Convert the weights" in gatemill("models", "export", f"file:{folder}", "out").err


def test_export_needs_a_task_it_knows_and_an_empty_folder(
    gatemill: Command, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.safetensors").write_bytes(b"")
    assert (
        "is not exported" in gatemill("models", "export", f"file:{model}", "o", "--task", "x").err
    )
    assert f"{model} is not empty" in gatemill("models", "export", f"file:{model}", str(model)).err


def test_bench_measures_by_number_of_clients(gatemill: Command, folder: Path) -> None:
    words = ["--seconds", "0.1", "--words", "5"]
    rows = msgspec.json.decode(gatemill("models", "bench", f"file:{folder}", *words, "--json").out)
    assert [row["clients"] for row in rows] == [1, 8, 32]
    assert all(row["per_s"] > 0 and row["p50_ms"] <= row["p99_ms"] for row in rows)
    table = gatemill("models", "bench", f"file:{folder}", *words).out.splitlines()
    assert table[0].split() == ["CLIENTS", "REQUESTS/S", "P50", "MS", "P99", "MS"]
    assert len(table) == 4


async def test_a_running_gateway_is_asked(gatemill: Command, tmp_path: Path, folder: Path) -> None:
    config = f'[local.mine]\ntask = "embed"\nsource = "file:{folder}"\n'
    config += '[local.broken]\ntask = "embed"\nsource = "file:nowhere"\n'
    (tmp_path / "home").mkdir()
    async with opened(tmp_path / "home", config) as home:
        where = ("--url", home.url, "--key", home.key)

        async def said(*words: str):
            return await asyncio.to_thread(gatemill, "models", *words, *where)

        loaded = await said("load", "mine")
        assert loaded.out.split()[:2] == ["mine", "ready"]
        failed = await said("load", "broken")
        assert failed.code == 1
        assert "There is no folder" in failed.err
        listed = await said("ls", "--local")
        rows = [line.split()[:4] for line in listed.out.splitlines()[1:]]
        assert rows == [["broken", "embed", "onnx", "failed"], ["mine", "embed", "onnx", "ready"]]
        assert "broken: There is no folder" in listed.err
        assert len(msgspec.json.decode((await said("ls", "--local", "--json")).out)) == 2
        left = msgspec.json.decode((await said("unload", "mine", "--json")).out)
        assert (left["model"], left["state"]) == ("mine", "unloaded")


def test_list_is_what_the_bare_command_says(gatemill: Command) -> None:
    assert gatemill("models", "list").out == gatemill("models").out

"""Models that run here, over HTTP: asked, listed, loaded, unloaded, refused, fallen back from."""

from __future__ import annotations

import pytest

import onnx_models
from api import api
from crowd import until
from gatemill.local.manifest import digest
from house_for_tests import opened

PATIENCE_S = 60.0
TASKS = ("embed", "classify", "rerank")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {task: onnx_models.folder(root / task, task) for task in TASKS}


def local(name: str, folder: object, task: str = "embed", more: str = "") -> str:
    return f'[local.{name}]\ntask = "{task}"\nsource = "file:{folder}"\n{more}\n'


async def test_a_model_is_a_model_like_any_other(tmp_path, folders) -> None:
    config = "[serving]\nworkers = 1\n"
    config += "".join(local(task, folders[task], task) for task in TASKS)
    async with opened(tmp_path, config) as home, api(home) as ask:
        names = {one["id"] for one in (await ask.good("GET", "/v1/models"))["data"]}
        assert set(TASKS) <= names
        said = await ask("POST", "/v1/embeddings", {"model": "embed", "input": ["a cat", "a dog"]})
        assert said.headers["x-gatemill-model"] == "local/embed"
        assert said.headers["x-gatemill-cost-usd"] == "0.000000"
        predicted = {"model": "local/classify", "input": "a good film"}
        assert (await ask.good("POST", "/v1/predict", predicted))["predictions"][0]["label"]
        ranked = {"model": "rerank", "query": "good film", "documents": ["a cat", "good"]}
        assert len((await ask.good("POST", "/v1/rerank", ranked))["results"]) == 2
        page = (await ask("GET", "/metrics")).body.decode()
    assert 'gatemill_local_models{state="ready"} 3.0' in page
    assert 'gatemill_local_batch_size_count{model="embed"} 1.0' in page
    assert 'gatemill_local_loads_total{engine="onnx"} 3.0' in page


async def test_an_admin_loads_lists_and_unloads(tmp_path, folders) -> None:
    async with opened(tmp_path, local("mine", folders["embed"])) as home, api(home) as ask:
        (one,) = (await ask.good("GET", "/v1/runners"))["data"]
        assert (one["model"], one["state"], one["memory_bytes"]) == ("mine", "unloaded", 0)
        loaded = await ask.good("POST", "/v1/models/mine/load")
        assert loaded["state"] == "ready"
        assert loaded["memory_bytes"] > 0
        assert (await ask.good("GET", "/v1/runners"))["memory_bytes"] == loaded["memory_bytes"]
        assert (await ask.good("POST", "/v1/models/local/mine/unload"))["state"] == "unloaded"
        missing = await ask("POST", "/v1/models/nobody/load")
        assert (missing.status, missing.json["error"]["code"]) == (404, "model_not_found")
        made = await ask.good("POST", "/api/v1/keys", {"name": "plain"})
        for method, path in (
            ("GET", "/v1/runners"),
            ("POST", "/v1/models/mine/load"),
            ("POST", "/v1/models/mine/unload"),
        ):
            assert (await ask(method, path, key=made["secret"])).status == 403
            assert (await ask(method, path, key="")).status == 401


async def test_a_model_that_cannot_be_loaded_harms_no_other(tmp_path, folders) -> None:
    config = local("good", folders["embed"]) + local("bad", tmp_path / "none")
    config += local("other", folders["embed"], more=f'sha256 = "{"0" * 64}"')
    async with opened(tmp_path, config) as home, api(home) as ask:
        body = {"model": "bad", "input": "x"}
        for _ in range(2):
            refused = await ask("POST", "/v1/embeddings", body)
            assert refused.status == 424
            assert refused.json["error"]["code"] == "model_load_failed"
            assert str(tmp_path) not in refused.body.decode()
        why = {one["model"]: one for one in (await ask.good("GET", "/v1/runners"))["data"]}
        assert why["bad"]["state"] == "failed"
        assert "There is no folder" in why["bad"]["error"]
        pinned = await ask("POST", "/v1/models/other/load")
        assert digest(folders["embed"]) in pinned.json["error"]["message"]
        await ask.good("POST", "/v1/embeddings", {"model": "good", "input": "x"})


async def test_a_hosted_model_answers_instead_of_one_that_cannot_be_loaded(tmp_path) -> None:
    config = local("bad", tmp_path / "none") + '[models.safe]\ntargets = ["local/bad"]\n'
    config += 'fallbacks = ["echo"]\n'
    async with opened(tmp_path, config) as home, api(home) as ask:
        said = await ask("POST", "/v1/embeddings", {"model": "safe", "input": "x"})
    assert said.status == 200
    assert said.headers["x-gatemill-model"] == "echo/echo"


async def test_a_reload_takes_new_models_and_keeps_what_is_loaded(tmp_path, folders) -> None:
    first = local("kept", folders["embed"]) + local("gone", folders["classify"], "classify")
    async with opened(tmp_path, first) as home, api(home) as ask:
        shelf = home.home.rooms.shelf
        for name in ("kept", "gone"):
            await ask.good("POST", f"/v1/models/{name}/load")
        kept = shelf._slots["kept"].runtime
        more = local("new", folders["rerank"], "rerank", "preload = true")
        (tmp_path / "gatemill.toml").write_text(local("kept", folders["embed"]) + more)
        outcome = await home.shown.reloader.reload()
        assert outcome.outcome == "ok", outcome
        assert shelf._slots["kept"].runtime is kept

        def states() -> dict[str, str]:
            return {one.name: one.state for one in shelf.states()}

        await until(lambda: states() == {"kept": "ready", "new": "ready"}, PATIENCE_S)
        gone = await ask("POST", "/v1/predict", {"model": "gone", "input": "x"})
        assert gone.status == 404

"""A model of an MLflow server is a version here, and its alias is followed.

Against a fake always; against a real server where GATEMILL_TEST_MLFLOW_URL names one, such as
`mlflow server --host 127.0.0.1 --port 5000`.
"""

from __future__ import annotations

import asyncio
import json
import os
import urllib.request
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest

import mlflow_server
import onnx_models
from api import api
from house_for_tests import opened

REAL = os.environ.get("GATEMILL_TEST_MLFLOW_URL", "")
PATIENCE_S = 60.0


class Fake:
    """The fake, filled as the real one is."""

    def __init__(self, fake: mlflow_server.Fake) -> None:
        self.fake = fake
        self.url = fake.url
        self.model = "tickets"
        self.count = 0

    def add(self, folder) -> None:
        self.count += 1
        root = f"0/run{self.count}/artifacts"
        for path in folder.rglob("*"):
            if path.is_file():
                self.fake.files[f"{root}/{path.relative_to(folder)}"] = path.read_bytes()
        self.fake.uris[self.model, str(self.count)] = f"mlflow-artifacts:/{root}"

    def move(self, version: int) -> None:
        self.fake.aliases[self.model, "champion"] = str(version)


class Real:
    """A real server, over its REST API."""

    def __init__(self) -> None:
        self.url = REAL
        self.model = f"tickets-{uuid4().hex[:8]}"
        self._ask("registered-models/create", name=self.model)
        self.count = 0

    def _ask(self, method: str, **said: Any) -> Any:
        url = f"{REAL}/api/2.0/mlflow/{method}"
        headers = {"content-type": "application/json"}
        with urllib.request.urlopen(
            urllib.request.Request(url, json.dumps(said).encode(), headers), timeout=30
        ) as answer:
            return json.loads(answer.read())

    def add(self, folder) -> None:
        self.count += 1
        run = self._ask("runs/create", experiment_id="0")["run"]["info"]
        root = run["artifact_uri"].removeprefix("mlflow-artifacts:/")
        for path in folder.rglob("*"):
            if path.is_file():
                url = f"{REAL}/api/2.0/mlflow-artifacts/artifacts/{root}/{path.relative_to(folder)}"
                put = urllib.request.Request(url, path.read_bytes(), method="PUT")
                urllib.request.urlopen(put, timeout=30).close()
        self._ask(
            "model-versions/create",
            name=self.model,
            source=run["artifact_uri"],
            run_id=run["run_id"],
        )

    def move(self, version: int) -> None:
        self._ask(
            "registered-models/alias", name=self.model, alias="champion", version=str(version)
        )


@contextmanager
def fake():
    with mlflow_server.served() as found:
        yield Fake(found)


@contextmanager
def real():
    yield Real()


@pytest.fixture(
    params=[
        fake,
        pytest.param(
            real, marks=pytest.mark.skipif(not REAL, reason="heavy: set GATEMILL_TEST_MLFLOW_URL")
        ),
    ],
    ids=["fake", "real"],
)
def server(request):
    with request.param() as found:
        yield found


async def test_a_version_comes_from_mlflow_and_follows_its_alias(server, tmp_path):
    for number, labels in ((1, ("bad", "good")), (2, ("blame", "praise"))):
        server.add(onnx_models.folder(tmp_path / f"m{number}", "classify", labels=labels))
    server.move(1)
    config = f'[registry]\nmlflow_url = "{server.url}"\nmlflow_poll_s = 0.1\n'
    async with opened(tmp_path, config) as gate, api(gate) as ask:
        await ask("POST", "/v1/models", {"name": "mood", "task": "classify"})
        path, champion = "/v1/models/mood/versions", "/v1/models/mood/aliases/champion"
        said = await ask("POST", path, {"source": f"mlflow:{server.model}@none"})
        assert said.status == 404, said.body
        said = await ask("POST", path, {"source": f"mlflow:{server.model}@champion"})
        assert said.status == 201, said.body
        assert said.json["source"] == f"mlflow:{server.model}/1"
        assert said.json["origin"] == f"mlflow:{server.model}@champion"
        said = await ask("PUT", champion, {"version": 1, "reason": "The first."})
        assert said.status == 200 and said.json["loaded"] is True, said.body
        predict = {"model": "mood@champion", "input": "good"}
        assert (await ask("POST", "/v1/predict", predict)).json["version"] == "mood:1"

        server.move(2)
        async with asyncio.timeout(PATIENCE_S):
            while (said := await ask("POST", "/v1/predict", predict)).json["version"] == "mood:1":
                assert said.status == 200
        assert said.json["version"] == "mood:2"
        assert said.json["predictions"][0]["label"] in ("blame", "praise")
        event = (await ask("GET", "/v1/models/mood/events")).json["data"][0]
        assert (event["actor"], event["to_version"]) == ("mlflow", 2)
        assert "champion" in event["reason"]

        server.move(1)  # back there: no third version, the first one again
        async with asyncio.timeout(PATIENCE_S):
            while (await ask("POST", "/v1/predict", predict)).json["version"] == "mood:2":
                pass  # asking takes its time
        assert (await ask("GET", "/v1/models/mood")).json["versions"] == [1, 2]


async def test_while_mlflow_is_away_everything_goes_on(tmp_path):
    with fake() as server:
        server.add(onnx_models.folder(tmp_path / "m1", "classify"))
        server.move(1)
        config = f'[registry]\nmlflow_url = "{server.url}"\nmlflow_poll_s = 0.1\n'
        async with opened(tmp_path, config) as gate, api(gate) as ask:
            await ask("POST", "/v1/models", {"name": "mood", "task": "classify"})
            source = {"source": f"mlflow:{server.model}@champion"}
            assert (await ask("POST", "/v1/models/mood/versions", source)).status == 201
            server.fake.status = 503
            server.move(2)
            count = len(server.fake.asked)
            async with asyncio.timeout(PATIENCE_S):
                while len(server.fake.asked) == count:
                    said = await ask("POST", "/v1/predict", {"model": "mood", "input": "good"})
                    assert said.json["version"] == "mood:1", said.body
            assert (await ask("POST", "/v1/models/mood/versions", source)).status == 502
    # It is gone for good, and so is the first process: what was fetched is here.
    async with opened(tmp_path, config) as gate, api(gate) as ask:
        said = await ask("POST", "/v1/predict", {"model": "mood", "input": "good"})
        assert said.json["version"] == "mood:1", said.body

"""The whole API, asked with requests made from its own description: right ones, wrong ones, by three callers.

Rule: the description is the promise. Whatever is asked, no 5xx, nothing that is not described, what is forbidden is refused, and
who shows no key is told nothing. `just fuzz-api` asks 20,000 times.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi import checks

from api import api, web
from gatemill.edge import hot
from house_for_tests import opened
from openapi_examples import SOCKET
from running import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemathesis import Case

    from api import Api

WANTED = "GATEMILL_TEST_SCHEMA_CASES"
CASES = int(os.environ.get(WANTED, "72"))
# Making the first request of an operation costs 0.1 to 4 s: without the variable only some are asked.
SOME = slice(None) if WANTED in os.environ else slice(11, None, 24)
SEED = os.environ.get("GATEMILL_TEST_SEED", "")
CONFIG = """
[models.echo]
targets = ["echo/echo"]
[recordings]
share = 1.0
"""
_CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]
# A header that nobody reads is no mistake, whatever the description of the others says.
_HEADERS_OF_OTHERS = "in header - object with unexpected properties"
_SERVER_ERROR = re.compile(r"\[(5\d\d)\] ")
_OPEN = {"livez", "readyz", "metrics"}
# What the head of a request says of its body is refused before anybody reads whose it is.
_OF_THE_HEAD = {415}
# It answers with the refusal that such a request would meet.
_EXPLAINS = "explain AcceptedNegativeData"
_TURN = [{"role": "user", "content": "hi"}]


async def _things(ask: Api) -> dict[str, str]:
    """One of each thing that has an id, by the name of the parameter that asks for it."""
    job = {"kind": "chat.completion", "args": {"model": "echo", "messages": _TURN}}
    said = await ask("POST", "/v1/jobs", job)
    store = await ask.good("POST", "/v1/vector_stores", {"name": "notes"})
    hook = {"url": "https://hooks.example.invalid/x", "events": ["job.dead"]}
    webhook = await ask.good("POST", "/v1/webhooks", hook)
    key = await ask.good("POST", "/api/v1/keys", {"name": "other"})
    await ask.good("POST", "/api/v1/teams", {"id": "red", "name": "Red"})
    await ask.good("POST", "/api/v1/users", {"id": "ada", "name": "Ada"})
    row = (await ask.good("GET", "/v1/jobs"))["data"][0]
    return {
        "job_id": said.json["id"],
        "task_id": row["id"],
        "store_id": store["id"],
        "webhook_id": webhook["id"],
        "key_id": key["key"]["id"] if "key" in key else key["id"],
        "team_id": "red",
        "user_id": "ada",
        "model": "echo",
        "request_id": (await ask.chat()).headers["x-request-id"],
    }


def _document(document: dict[str, Any]) -> dict[str, Any]:
    """Without the WebSocket, which is not asked by HTTP, and with streams as the bytes they are."""
    for item in document["paths"].values():
        for operation in item.values():
            for answer in operation["responses"].values():
                answer.get("content", {}).get("text/event-stream", {}).pop("schema", None)
    found = {
        path: {m: o for m, o in item.items() if o["operationId"] != SOCKET}
        for path, item in document["paths"].items()
    }
    return {**document, "paths": {path: item for path, item in found.items() if item}}


class Fuzz:
    """Three callers at one server, and what was wrong with the answers."""

    def __init__(self, url: str, document: dict[str, Any], things: dict[str, str]) -> None:
        self.schema = schemathesis.openapi.from_dict(_document(document))
        self.url = url
        self.things = things
        self.asked = 0
        self.statuses: dict[int, int] = {}
        self.faults: dict[str, str] = {}  # one of each kind and operation

    def run(self, keys: dict[str, str], count: int) -> None:
        """About so many requests, spread over operations, callers, and right and wrong ones."""
        operations = [found.ok() for found in self.schema.get_all_operations()][SOME]
        each = max(1, round(count / len(operations) / 2))
        for operation in operations:
            named = {
                each.name: self.things[each.name]
                for each in operation.path_parameters
                if each.name in self.things
            }
            for mode in GenerationMode:
                for case in self._cases(operation, mode, named, each):
                    self._ask(case, keys)

    def _cases(
        self, operation: Any, mode: GenerationMode, named: dict[str, str], count: int
    ) -> Iterator[Case]:
        found: list[Case] = []
        strategy = operation.as_strategy(generation_mode=mode)
        if named and mode is GenerationMode.POSITIVE:
            known = operation.as_strategy(generation_mode=mode, path_parameters=named)
            strategy = strategy | known

        @settings(
            max_examples=count,
            phases=[Phase.generate],
            database=None,
            deadline=None,
            derandomize=not SEED,
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def make(case: Case) -> None:
            found.append(case)

        with suppress(Unsatisfiable):  # nothing can be wrong with a request that has no parameters
            make()
        yield from found[:count]

    def _ask(self, case: Case, keys: dict[str, str]) -> None:
        who = list(keys)[self.asked % len(keys)]
        headers = {"authorization": f"Bearer {keys[who]}"} if keys[who] else {}
        self.asked += 1
        name = case.operation.definition.raw["operationId"]
        for header in ("authorization", "x-api-key"):
            (case.headers or {}).pop(header, None)
        answer = case.call(base_url=self.url, headers=headers, timeout=30)
        self.statuses[answer.status_code] = self.statuses.get(answer.status_code, 0) + 1
        if not keys[who] and name not in _OPEN and answer.status_code not in {401, *_OF_THE_HEAD}:
            self._fault(name, f"no key: {answer.status_code}", answer)
        try:
            case.validate_response(answer, checks=_CHECKS)
        except FailureGroup as group:
            for failure in group.exceptions:
                if _HEADERS_OF_OTHERS not in str(failure):
                    self._fault(name, type(failure).__name__, failure)

    def _fault(self, name: str, kind: str, said: object) -> None:
        if f"{name} {kind}" != _EXPLAINS:
            self.faults.setdefault(f"{name} {kind}", str(said)[:2000])


@pytest.fixture
async def gate(tmp_path):
    async with opened(tmp_path, CONFIG) as found:
        yield found


async def test_whatever_is_asked_the_answer_is_one_that_is_described(gate, capsys):
    async with api(gate) as ask, web(gate.url) as client:
        things = await _things(ask)
        plain = (await ask.good("POST", "/api/v1/keys", {"name": "plain"}))["secret"]
        document = (
            await client.get("/openapi.json", headers={"authorization": f"Bearer {gate.key}"})
        ).json()
    fuzz = Fuzz(gate.url, document, things)
    await asyncio.to_thread(fuzz.run, {"admin": gate.key, "plain": plain, "nobody": ""}, CASES)
    with capsys.disabled():
        sys.stdout.write(f"\n  {fuzz.asked} requests: {fuzz.statuses}, {len(fuzz.faults)} faults")
    assert fuzz.asked >= CASES * 0.6
    assert len(fuzz.statuses) >= 4
    assert fuzz.faults == {}


def _bare(document: dict[str, Any]) -> dict[str, Any]:
    """Without the headers of inference: a header that nobody knows is taken for a mistake there, and is none."""
    for item in document["paths"].values():
        for operation in item.values():
            named = operation.get("parameters", [])
            operation["parameters"] = [each for each in named if each["in"] != "header"]
    return document


@pytest.mark.skipif(WANTED not in os.environ, reason=f"at length: set {WANTED}=20000")
def test_every_edge_of_the_description_is_asked_for(tmp_path, capsys):
    with serve(tmp_path, CONFIG) as running:
        headers = {"authorization": f"Bearer {running.key}"}
        document = httpx2.get(f"{running.url}/openapi.json", headers=headers).json()
        page, report = tmp_path / "openapi.json", tmp_path / "report.json"
        page.write_text(json.dumps(_bare(_document(document))))
        command = [str(Path(sys.executable).with_name("schemathesis")), "run", str(page)]
        command += ["--url", running.url, "-H", f"Authorization: Bearer {running.key}"]
        command += ["--phases", "examples,coverage,fuzzing", "-n", str(CASES // 300)]
        # What a value must be beyond its type, a description cannot say; and two templates may match one path.
        command += ["--exclude-checks", "positive_data_acceptance,allow_header_conformance"]
        command += ["--continue-on-failure", "--request-timeout", "60"]
        command += ["--no-shrink", "--report", "json", "--report-json-path", str(report)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    said = json.loads(report.read_text())
    with capsys.disabled():
        sys.stdout.write(f"\n  {said['test_cases']['generated']} requests, {said['failures']}")
    assert said["complete"], done.stdout
    is_busy = set(_SERVER_ERROR.findall(done.stdout)) <= {"503"}
    left = [_ours(each, is_busy=is_busy) for each in said["failures"]]
    assert [each for each in left if each["operations"]] == [], done.stdout


def _ours(failure: dict[str, Any], *, is_busy: bool) -> dict[str, Any]:
    """Without fields of inference that are forwarded as they are, for whoever reads them decides, and without
    503 (`is_busy`: there is no other), which is what we describe: a webhook that nobody answers is tried in vain."""
    if is_busy and failure["type"] == "ServerError":
        return {**failure, "operations": []}
    forwards = {"POST /v1/explain", *(f"POST {path.decode()}" for path in hot.PATHS)}
    if failure["type"] != "AcceptedNegativeData":
        return failure
    return {**failure, "operations": [op for op in failure["operations"] if op not in forwards]}

"""What is compared answers alike, and the table says what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from bench.machine import Machine
from bench.serving import Result, Row, render
from bench.serving_baseline import Unbatched

import onnx_models
from gatemill.core.call import Timeouts
from gatemill.core.clock import SystemClock
from gatemill.core.model import ModelSpec
from gatemill.core.ports import Outgoing
from gatemill.local.measure import measure, requests
from gatemill.local.shelf import Serving, Shelf


@pytest.mark.parametrize("task", ["embed", "classify"])
async def test_both_sides_give_the_same_answer(tmp_path: Path, task: str) -> None:
    labels = ("bad", "good") if task == "classify" else ()
    folder = onnx_models.folder(tmp_path / "m", task)
    spec = ModelSpec("m", task, "onnx", f"file:{folder}")
    plain = Unbatched(folder, labels, 1)
    shelf = Shelf(SystemClock(), Serving(data_dir=tmp_path))
    shelf.configure({"m": spec})
    path = "/predict" if labels else "/embeddings"
    out = Outgoing(path, b'{"model":"m","input":"a very good film"}')
    both = []
    for side in (plain, shelf):
        got = await side.exchange(out, Timeouts(), SystemClock.monotonic_s() + 60)
        said = json.loads(got.body)
        assert said["usage"] == {"prompt_tokens": 6, "total_tokens": 6}
        if labels:
            both.append(said["predictions"][0]["confidence"])
        else:
            both.append(said["data"][0]["embedding"])
    np.testing.assert_allclose(both[0], both[1], atol=1e-5)
    found = await measure(shelf, spec, 2, (0.02, 5))
    assert found["clients"] == 2
    assert found["per_s"] > 0
    await plain.close()
    await shelf.close()


def test_texts_are_the_same_in_each_run_and_differ_in_length() -> None:
    spec = ModelSpec("m", "rerank", "onnx")
    first, second = requests(spec, 40), requests(spec, 40)
    made = [next(first) for _ in range(600)]
    assert made == [next(second) for _ in range(600)]
    words = [len(json.loads(out.body)["documents"][0].split()) for out in made]
    assert min(words) == 4
    assert max(words) == 40


def test_the_table_names_machine_figures_and_targets() -> None:
    row = Row("predict", 32, 100.0, 130.0, 1.3, 1.31, 400.0, 300.0)
    here = Machine("A Processor", 2, 8_000_000_000, "Linux 6", "3.11.9")
    result = Result(
        "2026-11-21T10:00:00+00:00", "python -m x", here, "A model", [row], 7.25, {"idle": 75.0}
    )
    text = render(result)
    assert (
        "`python -m x`, 2026-11-21, 2 cores of A Processor, Linux 6, Python 3.11.9. A model."
        in text
    )
    assert "| predict | 32 | 100 | 130 | 1.30x | 1.31x | ≥ 1.25x | 400 ms | 300 ms |" in text
    assert "7.2 ms (target < 15)" in text
    assert "idle 75.0 MB" in text

"""The guide on vector stores: every block does what it says, and the limits are those of the settings."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import warmed
from gatemill.settings import load
from running import Running, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guides" / "vector-stores.md").read_text(encoding="utf-8")
_BLOCKS = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
# What the output of each program has to hold, in their order.
EXPECTED = (
    ('"mode":"hybrid"', '"added":2', '"oats"'),
    ("2 of 2 files are in notes", "builtin/hash-512"),
    ("succeeded",),
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serve(tmp_path_factory.mktemp("guide")) as server:
        yield server


def test_every_block_does_what_it_says(running: Running) -> None:
    known = {"GATEMILL_URL": running.url, "GATEMILL_API_KEY": running.key, "COLUMNS": "200"}
    for block, texts in zip(_BLOCKS.findall(GUIDE), EXPECTED, strict=True):
        text = block.replace("uv run gatemill", warmed.GATEMILL)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env={**os.environ, **known},
        )
        assert done.returncode == 0, done.stdout
        for each in texts:
            assert each in done.stdout, done.stdout


def test_the_limits_are_those_of_the_settings() -> None:
    settings = load(
        None, {"GATEMILL_SERVER__DISCOVER": "false"}, {}, lister=None
    ).settings.knowledge
    for row in (
        f"`knowledge.stores_max`, {settings.stores_max:,} of",
        f"`knowledge.documents_max`, {settings.documents_max:,} of",
        f"`knowledge.bytes_max_per_owner`, {settings.bytes_max_per_owner >> 30} GiB",
        f"`knowledge.chunks_max`, {settings.chunks_max:,} passages",
        f"`knowledge.document_chunks_max`, {settings.document_chunks_max:,} passages",
        f"`knowledge.file_bytes`, {settings.file_bytes >> 20} MiB",
        f"`text_bytes`, {settings.text_bytes >> 20} MiB",
        f"`pdf_pages`, {settings.pdf_pages:,} |",
    ):
        assert row in GUIDE

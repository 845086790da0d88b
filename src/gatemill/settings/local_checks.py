"""Checks of [local]: what one model needs, by its engine.

Rule: works on the raw tree and tolerates wrong types, so that one mistake does not hide another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from gatemill.settings.errors import Path
from gatemill.settings.layers import table

Problem = tuple[Path, str]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_COMMIT = re.compile(r"hf:[^/@]+/[^/@]+@[0-9a-f]{40}")
_TASKS = {"onnx": ("embed", "classify", "rerank"), "torch": ("generate",)}


def served_problems(tree: Mapping[str, Any]) -> Iterator[Problem]:
    """(path, message) of everything in [local] that single values cannot show."""
    for name, model in table(tree, "local").items():
        path: Path = ("local", name)
        if not _NAME.fullmatch(name):
            yield (
                path,
                "a model's name here has letters, digits, - _ . only: it stands in local/NAME",
            )
        if isinstance(model, dict):
            yield from _engine(path, model)


def _engine(path: Path, model: Mapping[str, Any]) -> Iterator[Problem]:
    engine, task, source = model.get("engine", "onnx"), model.get("task"), model.get("source", "")
    if engine == "command":
        if not model.get("command"):
            yield (
                (*path, "command"),
                'missing: the program to start, such as ["vllm", "serve", "--port", "{port}", ...]',
            )
        return
    if (
        isinstance(task, str)
        and isinstance(engine, str)
        and task not in _TASKS.get(engine, (task,))
    ):
        able = " or ".join(name for name, tasks in _TASKS.items() if task in tasks)
        yield (
            (*path, "engine"),
            f'"{engine}" does not {task}; use {able + " or " if able else ""}command',
        )
    if not source:
        yield (*path, "source"), 'missing: where its files are, such as "file:models/minilm"'
    elif isinstance(source, str):
        yield from _source((*path, "source"), source)


def _source(path: Path, source: str) -> Iterator[Problem]:
    if not source.startswith(("file:", "hf:")):
        yield path, 'write "file:" and a folder, or "hf:owner/name@" and a commit'
    elif source.startswith("hf:") and not _COMMIT.fullmatch(source):
        yield path, 'a model of the hub is pinned: write "hf:owner/name@" and 40 hex digits'

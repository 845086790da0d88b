"""A model that we run ourselves: what it is, and how it is to be loaded. Rule: data only."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

# What a model can do, and the operations that come of it.
TASKS = {
    "generate": ("chat", "completions"),
    "embed": ("embeddings",),
    "classify": ("predict",),
    "rerank": ("rerank",),
}
# Who runs it: a function of ours, ONNX in threads of this process, a linear head on another model's
# vectors, or a child process that speaks OpenAI's HTTP: our runner, or any command.
ENGINES = ("builtin", "onnx", "head", "torch", "command")


class ModelSpec(Struct, frozen=True):
    """One model to be loaded. Equal specs are the same model."""

    name: str  # as targets say it: "minilm" of the configuration, "sentiment:3" of the registry
    task: str  # one of TASKS
    engine: str  # one of ENGINES
    source: str = ""  # "file:/path/to/folder", "hf:owner/name@commit", "builtin:sentiment"
    sha256: str = ""  # of the source's manifest; "" accepts what is there
    options: dict[str, Any] = {}  # of its engine: device, dtype, argv, max_tokens, labels ...
    weights: bytes = b""  # safetensors of a linear head, which is kept in the database


class Served(Struct, frozen=True):
    """One name of the registry, and what answers to it."""

    name: str  # as callers say it: "sentiment", "sentiment@production", "sentiment:3"
    version: str  # "sentiment:3"
    provider: str  # of the configuration; "local" and "builtin" for what runs here
    model: str  # the provider's name for it; the version's own for "local"
    spec: ModelSpec | None = None  # how "local" loads it


class Loaded(Struct, frozen=True):
    """How a model stands."""

    name: str
    task: str
    engine: str
    state: str  # "unloaded", "loading", "ready", "failed", "unloading"
    memory_bytes: int = 0  # what it takes, as far as we know
    error: str = ""  # why it failed
    loaded_at: float | None = None  # Unix time
    used_at: float | None = None  # Unix time of its last request
    in_flight: int = 0
    waiting: int = 0
    pid: int | None = None  # of its child process
    restarts: int = 0

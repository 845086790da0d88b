"""What a version's source says: who serves it, and how it is loaded. Rule: pure; nothing is looked up."""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

from gatemill.core.errors import InvalidValue, UnsupportedParameter

HEAD = "head"
MLFLOW = "mlflow"
_ENGINES = {"embed": "onnx", "classify": "onnx", "rerank": "onnx", "generate": "torch"}
_HUB = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}@[0-9a-f]{40}", re.ASCII)
_MLFLOW = re.compile(r"[^/@:\\\x00-\x1f]{1,200}(@[^/@:\\\x00-\x1f]{1,200}|/\d{1,9})")
_MODEL = re.compile(r"[\w.:/@+=~-]{1,200}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")
# What a version may choose of its engine. What starts programs stands in the configuration file alone.
OPTIONS = frozenset(
    (
        "batch_max",
        "batching",
        "cache_bytes",
        "concurrency_max",
        "context_tokens",
        "device",
        "dtype",
        "file",
        "idle_ttl_s",
        "matryoshka",
        "memory_bytes",
        "output_default",
        "output_max",
        "threads",
        "waiting_max",
    )
)


class Source(Struct, frozen=True):
    """A source, taken apart."""

    scheme: str  # "file", "hf", "mlflow", "head", or a provider of the configuration
    rest: str

    @property
    def runs_here(self) -> bool:
        """The shelf loads it."""
        return self.scheme in ("file", "hf", MLFLOW, HEAD)


def read(text: str) -> Source:
    """A source of a request. Raises InvalidValue."""
    scheme, _, rest = text.partition(":")
    fits = {
        "file": rest.startswith("/") and "\x00" not in rest and len(rest) <= 1_000,
        "hf": _HUB.fullmatch(rest) is not None,
        MLFLOW: _MLFLOW.fullmatch(rest) is not None,
    }
    remedies = {
        "file": "file:/an/absolute/folder",
        "hf": "hf:owner/name@COMMIT with the 40 hex digits of a commit, so that it never changes",
        MLFLOW: "mlflow:NAME@ALIAS or mlflow:NAME/VERSION",
    }
    if not fits.get(scheme, _MODEL.fullmatch(rest) is not None) or scheme in ("", HEAD, "local"):
        wanted = remedies.get(
            scheme,
            "builtin:NAME, file:/FOLDER, hf:OWNER/NAME@COMMIT, mlflow:NAME@ALIAS, or PROVIDER:MODEL with"
            " a provider of the configuration",
        )
        raise InvalidValue(f"`source`: `{text[:100]}` is none. Write {wanted}.", param="source")
    return Source(scheme, rest)


def taken_apart(text: str) -> Source:
    """A source that was accepted before."""
    scheme, _, rest = text.partition(":")
    return Source(scheme, rest)


def engine_of(source: Source, task: str, asked: str) -> str:
    """The engine of a version; "" where a provider serves it. Raises InvalidValue."""
    if not source.runs_here:
        if asked:
            raise InvalidValue(
                f"`engine`: {source.scheme} runs this model. Leave it out.", param="engine"
            )
        return ""
    engine = asked or _ENGINES[task]
    if engine not in ("onnx", "torch"):
        raise InvalidValue("`engine`: send onnx or torch.", param="engine")
    return engine


def check_options(options: dict[str, Any]) -> None:
    """Raises UnsupportedParameter for an option that a version may not choose."""
    for name in options:
        if name not in OPTIONS:
            raise UnsupportedParameter(
                f"`options.{name[:60]}` is not known here. Use {', '.join(sorted(OPTIONS))}; a command"
                " to run stands in the configuration file.",
                param=f"options.{name[:60]}",
            )


def check_digest(text: str) -> None:
    """Raises InvalidValue for what is no SHA-256."""
    if text and not _SHA256.fullmatch(text):
        raise InvalidValue("`sha256`: send 64 hex digits in lower case.", param="sha256")

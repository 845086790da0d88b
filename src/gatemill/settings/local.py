"""Options of models that we run ourselves. Rule: values only."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gatemill.settings.section import Count, Seconds, Section


class LocalModel(Section):
    """One model, reached as `local/NAME` and, where [models] has no such name, as NAME."""

    task: Literal["embed", "classify", "rerank", "generate"] = Field(
        description="What it does: vectors, labels, an order of documents, or text."
    )
    engine: Literal["onnx", "torch", "command"] = Field(
        "onnx",
        description="Who runs it: ONNX Runtime in this process, a child process with torch, or the server that `command` starts.",
    )
    source: str = Field(
        "",
        description="Its files: `file:` and a folder, .zip or .tar, relative to where Gatemill starts, or `hf:owner/name@` and a commit.",
    )
    sha256: str = Field(
        "",
        pattern=r"^([0-9a-fA-F]{64})?$",
        description="What `gatemill models pull` prints for them; other files are then refused.",
    )
    preload: bool = Field(
        default=False,
        description="Whether it is loaded at start instead of with its first request.",
    )
    idle_ttl_s: float = Field(
        0.0, ge=0, description="Time without a request after which it is unloaded; 0 is never."
    )
    device: str = Field(
        "auto", description="Where it computes: `auto`, `cpu`, `cuda`, or another that torch names."
    )
    dtype: str = Field(
        "auto",
        description="Form of its weights: `auto`; for onnx float32, float16 or int8, by the names of files; for torch what it names.",
    )
    file: str = Field("", description="Name of the .onnx file; by default the usual ones.")
    pooling: Literal["", "mean", "cls", "max", "lasttoken"] = Field(
        "", description="How token vectors become one; by default what the model's files say."
    )
    matryoshka: bool = Field(
        default=False, description="Whether its vectors may be shortened by `dimensions`."
    )
    context_tokens: Count | None = Field(
        None, description="Most tokens of one input; by default what the model's files say."
    )
    batch_max: Count | None = Field(None, description="Most inputs computed together (16).")
    batch_tokens: Count | None = Field(
        None, description="Most tokens computed together, padding included (512)."
    )
    batch_wait_s: float = Field(
        0.0, ge=0, le=1, description="How long a free thread waits for more inputs; for GPUs."
    )
    concurrency_max: Count | None = Field(
        None, description="Most requests that a child process works on (16)."
    )
    waiting_max: Count | None = Field(
        None, description="Most inputs (1024), or requests of a child process (64), that wait."
    )
    memory_bytes: Count | None = Field(
        None, description="What it takes; by default an estimate from its files."
    )
    cache_bytes: Count | None = Field(
        None, description="Memory for the keys and values of generation (256 MiB)."
    )
    output_default: Count | None = Field(
        None, description="Tokens generated where the request names no number."
    )
    output_max: Count | None = Field(None, description="Most tokens generated for one request.")
    batching: bool = Field(
        default=True, description="Whether requests are generated together where the model allows."
    )
    threads: Count | None = Field(None, description="Threads of a child process that computes (1).")
    command: tuple[str, ...] = Field(
        (),
        description="Program and arguments of engine command; {port}, {model}, {name} and {token} are filled in.",
    )
    base_path: str = Field("/v1", description="Path below which that server has OpenAI's routes.")
    health: str = Field("/health", description="Path that it answers with 200 once it is ready.")
    served_name: str = Field("", description="Name of the model there; by default NAME.")
    start_timeout_s: Seconds = Field(
        120.0, description="Time that a child process has to get ready."
    )
    stop_timeout_s: Seconds = Field(10.0, description="Time that it has to end.")
    log_bytes: Count | None = Field(None, description="What is kept of its output (4 MiB).")


class Serving(Section):
    """What all local models share."""

    memory_bytes: Count = Field(
        4_294_967_296,
        description="What they may take together; idle ones make room, the rest is refused.",
    )
    workers: int = Field(
        0, ge=0, le=256, description="Threads that compute ONNX models; 0 is one for each core."
    )
    source_bytes: Count = Field(
        53_687_091_200, description="Largest model that is fetched or unpacked."
    )
    hub_endpoint: str = Field(
        "", description="URL of the hub behind `hf:`; by default HF_ENDPOINT, else Hugging Face's."
    )

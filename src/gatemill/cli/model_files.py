"""`gatemill models pull|export|bench`: a model's files, and what it does on this machine. Rule: no gateway is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gatemill.cli.failure import Failure
from gatemill.cli.ledger_access import AsJson, Config, DataDir
from gatemill.cli.terminal import note, print_json, print_table, print_text, settings

Source = Annotated[
    str, typer.Argument(metavar="SOURCE", help="file:FOLDER, or hf:owner/name@COMMIT.")
]
Task = Annotated[str, typer.Option(help="embed, classify or rerank.")]
_SECONDS = 3.0
_CLIENTS = (1, 8, 32)


def pull(
    source: Source,
    engine: Annotated[str, typer.Option(help="Who is to run it: onnx or torch.")] = "onnx",
    file: Annotated[str, typer.Option(help="The .onnx file, where it is not model.onnx.")] = "",
    manifest: Annotated[
        bool, typer.Option("--manifest", help="Print a line for each file.")
    ] = False,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Fetch and check a model's files. Prints their folder and the SHA-256 to pin."""
    from gatemill.core.model import ModelSpec
    from gatemill.local import manifest as manifests
    from gatemill.local.sources import Sources

    said = settings(config, {"server.data_dir": data_dir}, ask_servers=False).settings
    kept = said.data_dir / "models"
    sources = Sources(kept, said.serving.source_bytes, said.serving.hub_endpoint)
    options = {"file": file} if file else {}
    folder = sources.folder(ModelSpec("pulled", "embed", engine, source, options=options))
    digest = manifests.digest(folder)
    if as_json:
        print_json({"folder": str(folder), "sha256": digest})
        return
    if manifest:
        print_text(manifests.manifest(folder).rstrip("\n"))
    print_text(str(folder))
    print_text(f'sha256 = "{digest}"')
    note(
        "Put the source and the sha256 into [local.NAME], and `gatemill models load NAME` tries it."
    )


def export(
    source: Source,
    target: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to write.")],
    task: Task = "embed",
    int8: Annotated[bool, typer.Option(help="Write model_int8.onnx as well.")] = True,
) -> None:
    """Turn safetensors into ONNX (extra torch). Makes model.onnx and a smaller, faster model_int8.onnx."""
    from gatemill.local.export import export as exported
    from gatemill.local.sources import Sources

    if target.exists() and any(target.iterdir()):
        raise Failure(f"{target} is not empty", fix="name another folder")
    folder = Sources(target.parent, 1 << 40, "").fetch(source, (".safetensors",))
    for path in exported(folder, target, task, int8=int8):
        print_text(f"{path} {path.stat().st_size / 1_048_576:.0f} MiB")


def bench(
    source: Source,
    task: Task = "embed",
    seconds: Annotated[float, typer.Option(min=0.1, help="For each number of clients.")] = _SECONDS,
    words: Annotated[int, typer.Option(min=1, help="Most words of a text; they differ.")] = 40,
    file: Annotated[str, typer.Option(help="The .onnx file, where it is not model.onnx.")] = "",
    as_json: AsJson = False,
) -> None:
    """Measure a model in threads of this process. Tells requests a second and latency by number of clients."""
    import asyncio
    import os

    from gatemill.core.clock import SystemClock
    from gatemill.core.model import ModelSpec
    from gatemill.local.measure import measure
    from gatemill.local.shelf import Serving, Shelf

    options = {"file": file} if file else {}
    spec = ModelSpec("measured", task, "onnx", source, options=options)

    async def work() -> list[dict[str, float]]:
        shelf = Shelf(SystemClock(), Serving(workers=os.cpu_count() or 1))
        shelf.configure({spec.name: spec})
        await shelf.load(spec)
        try:
            return [await measure(shelf, spec, clients, (seconds, words)) for clients in _CLIENTS]
        finally:
            await shelf.close()

    rows = asyncio.run(work())
    if as_json:
        print_json(rows)
        return
    print_table(
        ("CLIENTS", "REQUESTS/S", "P50 MS", "P99 MS"),
        [
            (
                f"{row['clients']:.0f}",
                f"{row['per_s']:.1f}",
                f"{row['p50_ms']:.1f}",
                f"{row['p99_ms']:.1f}",
            )
            for row in rows
        ],
    )

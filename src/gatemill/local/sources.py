"""Where a model's files come from -> a folder of this machine.

Rule: weights are safetensors or ONNX; nothing that could run code is opened. Everything here blocks,
and runs in a thread.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from gatemill.core.errors import ModelLoadFailed
from gatemill.local import archive, hub, manifest

if TYPE_CHECKING:
    from gatemill.core.model import ModelSpec

_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib")
_FORMATS = {"onnx": (".onnx",), "torch": (".safetensors",)}  # by engine; others choose themselves


class Sources:
    """One for the shelf."""

    def __init__(self, kept: Path, size_bytes_max: int, hub_endpoint: str) -> None:
        """`kept` is the folder of what is fetched or unpacked."""
        self._kept = kept
        self._size_bytes_max = size_bytes_max
        self._hub_endpoint = hub_endpoint

    def folder(self, spec: ModelSpec) -> Path:
        """The folder, checked: its format, its manifest. Raises ModelLoadFailed, ExtraNotInstalled."""
        found = self.fetch(spec.source, weights_of(spec))
        check_format(found, spec.engine)
        if spec.sha256:
            check_manifest(found, spec.sha256)
        return found

    def fetch(self, source: str, weights: tuple[str, ...]) -> Path:
        """The folder that a source names, unchecked. Raises ModelLoadFailed, ExtraNotInstalled.

        Of a hub only files of weights are fetched whose names end like one of `weights`.
        """
        scheme, _, rest = source.partition(":")
        if scheme == "file" and rest:
            return self._local(Path(rest.removeprefix("//")))
        if scheme == "hf" and rest:
            return hub.fetch(
                rest, weights, self._kept / "hub", (self._size_bytes_max, self._hub_endpoint)
            )
        raise ModelLoadFailed(
            f"The source `{source[:200]}` is none: write file:/a/folder, or hf:owner/name@commit."
        )

    def _local(self, path: Path) -> Path:
        try:
            if path.is_dir():
                return path
            if path.is_file():
                return archive.unpacked(path, self._kept / "unpacked", self._size_bytes_max)
        except OSError as error:
            raise ModelLoadFailed(f"`{path}` cannot be read: {error.strerror}.") from error
        raise ModelLoadFailed(f"There is no folder `{path}`.")


def weights_of(spec: ModelSpec) -> tuple[str, ...]:
    """How the names of the files end that hold what this model needs, of all that a hub has."""
    if spec.engine != "onnx":
        return _FORMATS.get(spec.engine, manifest.WEIGHTS)
    name = str(spec.options.get("file") or "model.onnx")
    return (name, f"{name}_data", f"{name}.data")


def check_format(folder: Path, engine: str) -> None:
    """The folder has weights of a format that this engine opens. Raises ModelLoadFailed."""
    wanted = _FORMATS.get(engine, manifest.WEIGHTS)
    names = [path.name for path in folder.rglob("*")]
    if not any(name.endswith(wanted) for name in names):
        pickles = [name for name in names if name.endswith(_PICKLES)]
        if pickles:
            raise ModelLoadFailed(
                f"`{pickles[0]}` is a pickle, which can run code when it is opened. Convert the weights"
                f" to {' or '.join(wanted)}."
            )
        others = [name for name in names if name.endswith(manifest.WEIGHTS)]
        raise ModelLoadFailed(
            f"`{folder}` holds no {' or '.join(wanted)} file"
            + (f", and the engine {engine} does not open `{others[0]}`." if others else ".")
        )
    if engine != "onnx" and "auto_map" in settings(folder, "config.json"):
        raise ModelLoadFailed(
            f"`{folder}` wants Python code of its own to be run (auto_map in config.json), which is"
            " never done. Choose a model that the library knows, or export it to ONNX."
        )


def check_manifest(folder: Path, wanted: str) -> None:
    """The folder's manifest has this digest. Raises ModelLoadFailed."""
    try:
        found = manifest.digest(folder)
    except OSError as error:
        raise ModelLoadFailed(f"`{folder}` cannot be read: {error.strerror}.") from error
    if found != wanted.lower():
        raise ModelLoadFailed(
            f"The files of `{folder}` are not those that were pinned: their manifest has the SHA-256"
            f" {found}, not {wanted}."
        )


def settings(folder: Path, name: str) -> dict[str, object]:
    """A JSON file of the folder; {} when there is none. Raises ModelLoadFailed."""
    path = folder / name
    try:
        found = json.loads(path.read_bytes()) if path.is_file() else {}
    except (OSError, ValueError, RecursionError) as error:
        raise ModelLoadFailed(f"`{path}` is not JSON.") from error
    if not isinstance(found, dict):
        raise ModelLoadFailed(f"`{path}` is no JSON object.")
    return found

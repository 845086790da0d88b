"""What a folder of weights holds, as one digest. Rule: every file that is loaded counts, no other."""

from __future__ import annotations

import hashlib
from pathlib import Path

# Weights, settings, tokenizers, templates. All else in a folder is never opened.
WEIGHTS = (".safetensors", ".onnx")
SETTINGS = (".json", ".txt", ".model", ".jinja")
SUFFIXES = (*WEIGHTS, ".onnx_data", ".onnx.data", *SETTINGS)


def files(folder: Path) -> list[Path]:
    """The files that count, in the order of their names; hidden ones do not."""
    found = (path for path in folder.rglob("*") if path.name.endswith(SUFFIXES) and path.is_file())
    kept = (
        p for p in found if not any(part.startswith(".") for part in p.relative_to(folder).parts)
    )
    return sorted(kept, key=lambda path: path.relative_to(folder).as_posix())


def manifest(folder: Path) -> str:
    """A line for each file: its SHA-256, two spaces, its name, as `sha256sum` prints them."""
    return "".join(
        f"{file_digest(path)}  {path.relative_to(folder).as_posix()}\n" for path in files(folder)
    )


def digest(folder: Path) -> str:
    """SHA-256 of the manifest, in hex. Reads every file. Raises OSError."""
    return hashlib.sha256(manifest(folder).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hex. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

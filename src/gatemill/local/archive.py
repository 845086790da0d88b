"""A model in one file: .zip, .tar, .tar.gz, .tgz. Rule: plain files below one folder, or nothing."""

from __future__ import annotations

import lzma
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from gatemill.core.errors import ModelLoadFailed
from gatemill.local.manifest import file_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES_MAX = 10_000
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib")
_CHUNK = 1_048_576
# What is wrong inside of a compressed file is told by whoever unpacks it, in its own way.
_BROKEN = (
    *(tarfile.TarError, zipfile.BadZipFile, EOFError, RuntimeError),
    *(zlib.error, lzma.LZMAError),
)


def unpacked(path: Path, kept: Path, size_bytes_max: int) -> Path:
    """The folder of what the archive holds, unpacked once for its content. Raises ModelLoadFailed, OSError."""
    folder = kept / file_digest(path)
    if not folder.is_dir():
        kept.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".", dir=kept))
        try:
            _unpack(path, scratch, size_bytes_max)
            scratch.replace(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster
                raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    inner = list(folder.iterdir())
    return inner[0] if len(inner) == 1 and inner[0].is_dir() else folder


def _unpack(path: Path, target: Path, size_bytes_max: int) -> None:
    left_bytes = size_bytes_max
    try:
        members = _zipped(path) if zipfile.is_zipfile(path) else _tarred(path)
        for count, (name, source) in enumerate(members):
            if count >= FILES_MAX:
                raise ModelLoadFailed(f"`{path.name}` holds more than {FILES_MAX:,} files.")
            place = target / _checked(path, name)
            place.parent.mkdir(parents=True, exist_ok=True)
            with source, place.open("xb") as file:
                while block := source.read(_CHUNK):
                    left_bytes -= len(block)
                    if left_bytes < 0:
                        raise ModelLoadFailed(
                            f"`{path.name}` unpacks to more than {size_bytes_max:,} bytes"
                            " (serving.source_bytes)."
                        )
                    file.write(block)
    except _BROKEN as error:
        why = str(error).partition(":\n")[0]  # tarfile says on further lines what it has tried
        raise ModelLoadFailed(f"`{path.name}` is no archive that can be read: {why}.") from error


def _checked(path: Path, name: str) -> PurePosixPath:
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts or "\\" in name or ":" in name:
        raise ModelLoadFailed(
            f"`{path.name}` wants to write outside of its folder: `{name[:200]}`."
        )
    if name.lower().endswith(_PICKLES):
        raise ModelLoadFailed(
            f"`{path.name}` holds a pickle, `{name[:200]}`, which can run code when it is opened."
        )
    return place


def _tarred(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(path) as tar:
        for member in tar:
            if member.isdir():
                continue
            source = tar.extractfile(member) if member.isreg() else None
            if source is None:
                raise _odd(path, member.name)
            yield member.name, source


def _zipped(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if member.is_dir():
                continue
            if kind not in (0, stat.S_IFREG) or member.flag_bits & 1:
                raise _odd(path, member.filename)
            yield member.filename, archive.open(member)


def _odd(path: Path, name: str) -> ModelLoadFailed:
    return ModelLoadFailed(
        f"`{path.name}` holds something that is no plain file, `{name[:200]}`: links, devices and"
        " encrypted files are not unpacked."
    )

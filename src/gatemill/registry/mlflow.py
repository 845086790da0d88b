"""Models of an MLflow server, over its REST API, with nothing of MLflow installed here.

Rule: what is served is a version by its number, fetched once; an alias that moves there is followed by
a new version here. While the server is away, what is here stays.
Source: MLflow's REST API 2.0 (registered-models/alias, model-versions/get, get-download-uri) and its
artifact proxy, seen with mlflow 3.18.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlencode, urlsplit

import msgspec
from msgspec import Struct

from gatemill.core.errors import (
    GatemillError,
    ModelLoadFailed,
    NotFound,
    UpstreamUnreachable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_API = "api/2.0/mlflow"
_PROXY = "api/2.0/mlflow-artifacts/artifacts"
ANSWER_BYTES_MAX = 4 << 20
FILES_MAX = 200  # of one model
DEPTH_MAX = 6  # of its folders
PIECE_BYTES = 1 << 20


class Server(Struct, frozen=True):
    """Where it is; see docs/settings.md, section registry."""

    url: str  # without a slash at its end
    token: str  # "" where it asks for none
    kept: Path  # the folder of what was fetched
    timeout_s: float
    size_bytes: int  # most bytes of one model
    poll_s: float  # between two looks at its aliases


class _Alias(Struct):
    version: str


class _AliasAnswer(Struct):
    model_version: _Alias


class _UriAnswer(Struct):
    artifact_uri: str


class _File(Struct):
    path: str
    is_dir: bool = False
    file_size: int | None = None


class _Listing(Struct):
    files: list[_File] = []


class Mlflow:
    """The way to one server. One for the house."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.poll_s = server.poll_s
        self._fetching = asyncio.Lock()  # one model at a time

    async def pinned(self, source: str) -> str:
        """`mlflow:name/3` of `mlflow:name@alias`. Raises NotFound, UpstreamUnreachable."""
        name, _, alias = source.removeprefix("mlflow:").partition("@")
        if not alias:
            return source
        asked = {"name": name, "alias": alias}
        found = await asyncio.to_thread(self._ask, "registered-models/alias", asked, _AliasAnswer)
        return f"mlflow:{name}/{found.model_version.version}"

    def place(self, source: str) -> str:
        """`file:/folder` where a pinned source is, or will be once it was fetched."""
        digest = hashlib.sha256(f"{self._server.url}\0{source}".encode()).hexdigest()[:32]
        return f"file:{self._server.kept.absolute() / digest}"

    async def fetch(self, source: str) -> None:
        """The files of a pinned source are on this machine; other sources need nothing.

        Raises NotFound, ModelLoadFailed, UpstreamUnreachable.
        """
        if not source.startswith("mlflow:"):
            return
        folder = Path(self.place(source).removeprefix("file:"))
        async with self._fetching:
            await asyncio.to_thread(self._fetch, source, folder)

    # --- In a thread ------------------------------------------------------------------------------

    def _fetch(self, source: str, folder: Path) -> None:
        if folder.is_dir():  # it never changes
            return
        name, _, version = source.removeprefix("mlflow:").rpartition("/")
        uri = self._ask(
            "model-versions/get-download-uri", {"name": name, "version": version}, _UriAnswer
        ).artifact_uri
        unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
        try:
            unfinished.mkdir(parents=True)
            self._copy(uri, unfinished)
            unfinished.rename(folder)
        except OSError as error:
            raise ModelLoadFailed(
                f"`{source}` cannot be kept in {folder.parent}: {error.strerror}."
            ) from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def _copy(self, uri: str, folder: Path) -> None:
        try:
            parts = urlsplit(uri)
        except ValueError as error:
            raise ModelLoadFailed("MLflow keeps this model at an address that is none.") from error
        if parts.scheme == "mlflow-artifacts":
            self._download(parts.path.strip("/"), folder)
        elif parts.scheme in ("", "file"):
            self._copy_folder(Path(unquote(parts.path)), folder)
        else:
            raise ModelLoadFailed(
                f"MLflow keeps this model at {parts.scheme}://, which is not read from here. Start it with"
                " `mlflow server --serve-artifacts`."
            )

    def _copy_folder(self, source: Path, folder: Path) -> None:
        if not source.is_dir():
            raise ModelLoadFailed(
                f"MLflow keeps this model in {source}, which is no folder of this machine. Start it with"
                " `mlflow server --serve-artifacts`."
            )
        budget = _Budget(self._server.size_bytes)
        for path in sorted(source.rglob("*")):
            if path.is_file() and not path.is_symlink():
                budget.take(path.stat().st_size)
                target = folder / path.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)

    def _download(self, root: str, folder: Path) -> None:
        budget = _Budget(self._server.size_bytes)
        for path in self._listed(root, "", 0):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            url = f"{self._server.url}/{_PROXY}/{quote(f'{root}/{path}')}"
            with self._opened(url) as answer, target.open("wb") as file:
                budget.take(0)
                while piece := _piece(answer, PIECE_BYTES):
                    budget.take(len(piece), files=0)
                    file.write(piece)

    def _listed(self, root: str, below: str, depth: int) -> Iterator[str]:
        where = f"{root}/{below}".rstrip("/")
        url = f"{self._server.url}/{_PROXY}?{urlencode({'path': where})}"
        for each in self._read(url, _Listing).files:
            name = PurePosixPath(each.path).name
            if name in ("", ".", ".."):
                raise ModelLoadFailed("MLflow names a file that would leave its folder.")
            if not _is_possible(name):
                raise ModelLoadFailed(
                    f"MLflow names a file that cannot be kept here: {name!a:.200}."
                )
            path = f"{below}/{name}".lstrip("/")
            if not each.is_dir:
                yield path
            elif depth < DEPTH_MAX:
                yield from self._listed(root, path, depth + 1)

    def _ask(self, method: str, asked: dict[str, str], kind: type[Any]) -> Any:
        return self._read(f"{self._server.url}/{_API}/{method}?{urlencode(asked)}", kind)

    def _read(self, url: str, kind: type[Any]) -> Any:
        with self._opened(url) as answer:
            data = _piece(answer, ANSWER_BYTES_MAX)
        try:
            return msgspec.json.decode(data, type=kind)
        except msgspec.MsgspecError as error:
            raise UpstreamUnreachable(
                "What answers at `registry.mlflow_url` is no MLflow."
            ) from error

    def _opened(self, url: str) -> Any:
        headers = {"accept": "*/*"}
        if self._server.token:
            headers["authorization"] = f"Bearer {self._server.token}"
        request = urllib.request.Request(url, headers=headers)
        try:
            return _opener.open(request, timeout=self._server.timeout_s)
        except urllib.error.HTTPError as error:
            error.close()
            raise _refused(error.code) from None
        except (OSError, HTTPException) as error:
            raise _away() from error


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        """No redirect is followed."""


_opener = urllib.request.build_opener(_NoRedirect)


class _Budget:
    """What one model may still take."""

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = self._left = size_bytes
        self._files = FILES_MAX

    def take(self, size_bytes: int, files: int = 1) -> None:
        """Raises ModelLoadFailed."""
        self._left -= size_bytes
        self._files -= files
        if self._left < 0 or self._files < 0:
            raise ModelLoadFailed(
                f"The model has more than {FILES_MAX} files or {self._size_bytes} bytes"
                " (`serving.source_bytes`)."
            )


def _piece(answer: Any, most: int) -> bytes:
    """The next bytes of a body; b"" at its end. Raises UpstreamUnreachable."""
    try:
        data: bytes = answer.read(most)
    except (OSError, HTTPException) as error:
        raise _away() from error
    if not data and answer.length:  # less than its content-length: half a model is none
        raise _away()
    return data


def _is_possible(name: str) -> bool:
    try:
        return b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        return False


def _away() -> UpstreamUnreachable:
    return UpstreamUnreachable("MLflow does not answer. Is `registry.mlflow_url` right?")


def _refused(status: int) -> GatemillError:
    if status in (400, 404):  # 400 for an alias that is not there
        return NotFound("MLflow has no such model, version or alias.", param="source")
    if status in (401, 403):
        return ModelLoadFailed("MLflow refuses us. Check `registry.mlflow_token`.")
    return UpstreamUnreachable(f"MLflow answered {status}.")

"""A hub on 127.0.0.1 that speaks as much of Hugging Face's API as a download needs."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gatemill.core.errors import ModelLoadFailed
from gatemill.local import hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "config.json": b'{"model_type":"bert"}',
    "onnx/model.onnx": b"graph" * 100,
    "onnx/model_fp16.onnx": b"other" * 100,
    "model.safetensors": b"weights",
    "pytorch_model.bin": b"evil",
    "modeling_evil.py": b"evil",
}
ONNX = ("model.onnx",)


class Handler(BaseHTTPRequestHandler):
    asked: list[str]

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        base = f"/owner/model/resolve/{COMMIT}/"
        data = FILES.get(self.path.removeprefix(base)) if self.path.startswith(base) else None
        if self.path.startswith(f"/api/models/owner/model/revision/{COMMIT}"):
            files = [{"rfilename": name, "size": len(FILES[name])} for name in FILES]
            data = json.dumps({"id": "owner/model", "sha": COMMIT, "siblings": files}).encode()
        elif self.path.startswith(f"/api/models/owner/model/tree/{COMMIT}"):
            tree = [
                {"type": "file", "path": name, "size": len(FILES[name]), "oid": "0" * 40}
                for name in FILES
            ]
            data = json.dumps(tree).encode()
        self.send_response(404 if data is None else 200)
        for name, value in {
            "x-repo-commit": COMMIT,
            "etag": f'"{hashlib.sha256(data or b"").hexdigest()}"',
            "content-length": str(len(data or b"")),
            "content-type": "application/json",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET" and data:
            self.wfile.write(data)

    def log_message(self, *args) -> None:
        pass


@pytest.fixture
def site(monkeypatch):
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Named", (Handler,), {"asked": asked}))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(
    url: str, kept: Path, named: str = f"owner/model@{COMMIT}", bytes_max: int = 10_000
) -> Path:
    return hub.fetch(named, ONNX, kept, (bytes_max, url))


def test_a_pinned_model_is_fetched_once_without_code_or_pickles(site, tmp_path) -> None:
    url, asked = site
    folder = fetch(url, tmp_path)
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {"config.json", "onnx/model.onnx"}
    assert (folder / "onnx/model.onnx").read_bytes() == FILES["onnx/model.onnx"]
    asked.clear()
    assert fetch(url, tmp_path) == folder
    assert asked == []


@pytest.mark.parametrize(
    "named", ["owner/model", "owner/model@main", "owner@" + COMMIT, "../x@" + COMMIT]
)
def test_a_model_that_is_not_pinned_is_refused(named: str, tmp_path) -> None:
    with pytest.raises(ModelLoadFailed, match="40 hex digits"):
        fetch("http://127.0.0.1:1", tmp_path, named)


def test_a_model_that_is_too_large_is_refused_before_it_is_fetched(site, tmp_path) -> None:
    url, asked = site
    with pytest.raises(ModelLoadFailed, match="521 bytes, more than the 520"):
        fetch(url, tmp_path, bytes_max=520)
    assert not [path for path in asked if path.startswith("GET /owner")]


def test_a_commit_that_is_not_there_is_a_failure_to_load(site, tmp_path) -> None:
    with pytest.raises(ModelLoadFailed, match="could not be fetched"):
        fetch(site[0], tmp_path, "owner/model@" + "f" * 40)

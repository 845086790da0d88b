"""A piece of MLflow's REST API in a thread, with models that a test puts there."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, unquote, urlsplit

API = "/api/2.0/mlflow/"
PROXY = "/api/2.0/mlflow-artifacts/artifacts"


class Fake:
    """What the server knows; a test changes it."""

    def __init__(self) -> None:
        self.url = ""
        self.aliases: dict[tuple[str, str], str] = {}  # (model, alias): version
        self.uris: dict[tuple[str, str], str] = {}  # (model, version): artifact URI
        self.files: dict[str, bytes] = {}  # by their whole path
        self.status = 200  # of everything, when it is another
        self.says: bytes | None = None  # instead of any answer
        self.cut = ""  # "length", "chunk": bodies end before what was announced
        self.asked: list[str] = []
        self.tokens: set[str | None] = set()

    def answer(self, path: str, query: dict[str, str]) -> bytes | None:
        """The body; None for what is not there."""
        if path.startswith(PROXY + "/"):
            return self.files.get(unquote(path.removeprefix(PROXY + "/")))
        if path == PROXY:
            return json.dumps({"files": self._listed(query["path"])}).encode()
        if path == API + "registered-models/alias":
            version = self.aliases.get((query["name"], query["alias"]))
            return version and json.dumps({"model_version": {"version": version}}).encode()
        uri = self.uris.get((query["name"], query["version"]))
        return uri and json.dumps({"artifact_uri": uri}).encode()

    def _listed(self, root: str) -> list[dict[str, object]]:
        found: dict[str, bool] = {}
        for path in self.files:
            if path.startswith(f"{root}/"):
                name, _, more = path.removeprefix(f"{root}/").partition("/")
                found[name] = bool(more)
        return [{"path": name, "is_dir": is_dir} for name, is_dir in found.items()]


@contextmanager
def served() -> Iterator[Fake]:
    """A server that is up for as long as the block."""
    fake = Fake()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            fake.asked.append(parts.path)
            fake.tokens.add(self.headers["authorization"])
            body = fake.answer(parts.path, query) if fake.says is None else fake.says
            status = fake.status if fake.status != 200 or body is not None else 404
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("location", fake.url + "/elsewhere")
            body = body or b""
            if fake.cut == "chunk":
                self.send_header("transfer-encoding", "chunked")
                body = b"ffff\r\n" + body
            else:
                self.send_header("content-length", str(len(body) + (fake.cut == "length")))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

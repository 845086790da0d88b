"""A receiver of OTLP/HTTP on a free port: it decodes what comes with OpenTelemetry's own protobuf messages."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from msgspec import Struct
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

PATIENCE_S = 60.0


class Got(Struct):
    """A span as it arrived."""

    name: str
    kind: int
    trace: str
    id: str
    parent: str
    start_s: float
    end_s: float
    attributes: dict[str, object]
    events: list[tuple[str, float]]
    links: list[tuple[str, str]]
    error: str
    resource: dict[str, object]


class Collector:
    """What has come so far."""

    def __init__(self) -> None:
        self.url = ""
        self.spans: list[Got] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.answers = [200]  # the last one goes on for ever
        self.silent = threading.Event()  # set: nobody is answered
        self.over = threading.Event()
        self.changed = threading.Condition()

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        with self.changed:
            status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            self.paths.append(path)
            self.headers.append(headers)
            if status == 200:
                self._read(body)
            self.changed.notify_all()
        return status

    def _read(self, body: bytes) -> None:
        request = trace_service_pb2.ExportTraceServiceRequest.FromString(gzip.decompress(body))
        for place in request.resource_spans:
            resource = _plain(place.resource.attributes)
            for scope in place.scope_spans:
                self.spans += [_got(span, resource) for span in scope.spans]

    def until(self, true: Callable[[Collector], object]) -> None:
        """It has heard enough."""
        with self.changed:
            assert self.changed.wait_for(lambda: true(self), PATIENCE_S), self.spans

    def named(self, name: str) -> list[Got]:
        return [span for span in self.spans if span.name == name]


def _got(span, resource: dict[str, object]) -> Got:
    return Got(
        name=span.name,
        kind=span.kind,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        start_s=span.start_time_unix_nano / 1e9,
        end_s=span.end_time_unix_nano / 1e9,
        attributes=_plain(span.attributes),
        events=[(event.name, event.time_unix_nano / 1e9) for event in span.events],
        links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        error=span.status.message if span.status.code == 2 else "",
        resource=resource,
    )


def _plain(attributes) -> dict[str, object]:
    found = {}
    for pair in attributes:
        kind = pair.value.WhichOneof("value")
        value = getattr(pair.value, kind)
        found[pair.key] = (
            [each.string_value for each in value.values] if kind == "array_value" else value
        )
    return found


@contextmanager
def collecting() -> Iterator[Collector]:
    """A receiver for as long as the block."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if collector.silent.is_set():
                with collector.changed:
                    collector.paths.append(self.path)
                    collector.changed.notify_all()
                collector.over.wait(PATIENCE_S)
                return
            status = collector.take(self.path, dict(self.headers), body)
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield collector
    finally:
        collector.over.set()
        server.shutdown()
        thread.join()
        server.server_close()

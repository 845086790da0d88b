"""Spans over OTLP/HTTP, in protobuf. Rule: used by one thread; whatever goes wrong is a result, never raised.

OpenTelemetry's own SDK is not used: it reads the environment and starts threads of its own, see
decision 017. https://opentelemetry.io/docs/specs/otlp/, 1.9, checked 2026-11-21.
"""

from __future__ import annotations

import gzip
import http.client
import ssl
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gatemill.core.errors import ExtraNotInstalled
from gatemill.core.version import VERSION
from gatemill.observe.spans import UNMADE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gatemill.observe.spans import Span, Value

_PATH = "/v1/traces"
_ANSWER_BYTES_MAX = 64 << 10  # of which nothing is read but that it came
_INT_MAX = (1 << 63) - 1
_AGAIN = frozenset((429, 502, 503, 504))  # the receiver may take it later
INSTALL = "Traces need a package that is not installed: pip install 'gatemill[otel]'"


class Receiver:
    """A collector at the other end."""

    def __init__(
        self,
        endpoint: str,
        headers: Mapping[str, str],
        resource: Mapping[str, str],
        timeout_s: float,
    ) -> None:
        """`resource` says who sends. Raises ExtraNotInstalled."""
        try:
            self._words: Any = import_module("opentelemetry.proto.trace.v1.trace_pb2")
        except ImportError as error:
            raise ExtraNotInstalled(INSTALL) from error
        parts = urlsplit(endpoint)
        self._is_tls = parts.scheme == "https"
        self._address = parts.hostname or "", parts.port or (443 if self._is_tls else 80)
        self._path = parts.path.rstrip("/") + _PATH
        self._timeout_s = timeout_s
        self._resource = resource
        self._headers = {
            "content-type": "application/x-protobuf",
            "content-encoding": "gzip",
            "user-agent": f"gatemill/{VERSION}",
            **headers,
        }

    def send(self, spans: Sequence[Span]) -> tuple[bool, bool]:
        """Whether they have arrived, and whether another try may help if not."""
        try:
            body = gzip.compress(self.encode(spans), compresslevel=3)
        except UNMADE:
            return False, False
        connection = self._connection()
        try:
            connection.request("POST", self._path, body, self._headers)
            answer = connection.getresponse()
            answer.read(_ANSWER_BYTES_MAX)
        except (OSError, http.client.HTTPException):
            return False, True
        except ValueError:  # a header that cannot be sent
            return False, False
        finally:
            connection.close()
        return 200 <= answer.status < 300, answer.status in _AGAIN

    def encode(self, spans: Sequence[Span]) -> bytes:
        """The body of an export request."""
        # ExportTraceServiceRequest is TracesData under another name: field 1 is the same.
        data = self._words.TracesData()
        place = data.resource_spans.add()
        _fill(place.resource.attributes, self._resource)
        scope = place.scope_spans.add()
        scope.scope.name, scope.scope.version = "gatemill", VERSION
        for span in spans:
            self._add(scope.spans.add(), span)
        encoded: bytes = data.SerializeToString()
        return encoded

    def _connection(self) -> http.client.HTTPConnection:
        # One for each batch: a few a minute, and nothing to look after in between.
        host, port = self._address
        if self._is_tls:
            tls = ssl.create_default_context()
            return http.client.HTTPSConnection(host, port, timeout=self._timeout_s, context=tls)
        return http.client.HTTPConnection(host, port, timeout=self._timeout_s)

    def _add(self, out: Any, span: Span) -> None:
        out.trace_id, out.span_id = bytes.fromhex(span.trace_id), bytes.fromhex(span.span_id)
        out.parent_span_id = bytes.fromhex(span.parent_id)
        out.name, out.kind = _text(span.name), span.kind
        out.start_time_unix_nano, out.end_time_unix_nano = _nano(span.start_s), _nano(span.end_s)
        _fill(out.attributes, span.attributes)
        for at_s, name in span.events:
            out.events.add(time_unix_nano=_nano(at_s), name=name)
        for trace_id, span_id, is_sampled in span.links:
            out.links.add(
                trace_id=bytes.fromhex(trace_id),
                span_id=bytes.fromhex(span_id),
                flags=int(is_sampled),
            )
        out.flags = 1  # sampled
        if span.error:
            out.status.code = self._words.Status.STATUS_CODE_ERROR
            out.status.message = span.error


def _nano(unix_s: float) -> int:
    return max(0, int(unix_s * 1e9))


def _fill(out: Any, attributes: Mapping[str, Value]) -> None:
    for name, value in attributes.items():
        into = out.add(key=name).value
        if isinstance(value, bool):
            into.bool_value = value
        elif isinstance(value, int):
            into.int_value = min(value, _INT_MAX)  # a caller may have made it up
        elif isinstance(value, float):
            into.double_value = value
        elif isinstance(value, str):
            into.string_value = _text(value)
        else:
            for item in value:
                into.array_value.values.add(string_value=_text(item))


def _text(value: str) -> str:
    """Without lone surrogates, for which protobuf has no bytes."""
    return value.encode("utf-8", "replace").decode()

"""The receiver of traces: is it there, and does it take them? Rule: it is sent a batch without a span, which changes nothing."""

from __future__ import annotations

import gzip
import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gatemill.core.finding import OK, WARNING, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatemill.settings import Settings
    from gatemill.settings.telemetry import Telemetry

PATIENCE_S = 2.0
_ANSWER_BYTES_MAX = 64 << 10
_FORMAT = {"content-type": "application/x-protobuf", "content-encoding": "gzip"}


def examined(settings: Settings) -> Iterator[Finding]:
    """Nothing where no traces are sent. A request never waits for them, so nothing here is a failure."""
    telemetry = settings.telemetry
    if not telemetry.endpoint:
        return
    parts = urlsplit(telemetry.endpoint)
    where = f"{parts.scheme}://{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    try:
        status = _status(telemetry)
    except ssl.SSLCertVerificationError as error:
        text = f"{where}: certificate: {error.verify_message}"
        yield Finding(WARNING, "traces", text, "have this machine trust its authority")
    except (OSError, HTTPException, ValueError):  # ValueError: a header that cannot be sent
        text = f"{where} does not answer: spans are dropped"
        yield Finding(WARNING, "traces", text, "start it, or correct telemetry.endpoint")
    else:
        yield _judged(where, status)


def _judged(where: str, status: int) -> Finding:
    if 200 <= status < 300:
        return Finding(OK, "traces", f"{where} takes them")
    text = f"{where} answered {status}: spans are dropped"
    if status in (401, 403):
        return Finding(WARNING, "traces", text, "correct telemetry.headers")
    if status in (429, 503):
        return Finding(WARNING, "traces", f"{where} answered {status}: it is busy", "look later")
    fix = "correct telemetry.endpoint: OTLP over HTTP, often port 4318"
    return Finding(WARNING, "traces", text, fix)


def _status(telemetry: Telemetry) -> int:
    """What it answers. Raises OSError, HTTPException, ValueError."""
    parts = urlsplit(telemetry.endpoint)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=PATIENCE_S)
    own = {name: value.get_secret_value() for name, value in telemetry.headers.items()}
    try:
        path = f"{parts.path.rstrip('/')}/v1/traces"
        connection.request("POST", path, gzip.compress(b""), {**_FORMAT, **own})
        with connection.getresponse() as answer:
            answer.read(_ANSWER_BYTES_MAX)
            return answer.status
    finally:
        connection.close()

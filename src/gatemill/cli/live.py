"""One harmless request to each provider: is it there, is TLS good, is the key good?

Rule: GET of the model list only; it costs nothing and changes nothing. No exception leaves.
"""

from __future__ import annotations

import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gatemill.core.finding import FAILURE, OK, WARNING, Finding
from gatemill.core.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.settings import Loaded, Provider

THREADS_MAX = 16
ANSWER_TIMEOUT_S = 10.0
SKEW_S_MAX = 30.0  # a Date has whole seconds, and may come from a cache nearby
_DRAIN_BYTES = 1 << 16


def probe_all(loaded: Loaded) -> Sequence[Finding]:
    """A finding for each provider that is reached over the network, in their order."""
    from gatemill.settings import vendors

    remote = [
        (name, provider)
        for name, provider in loaded.settings.providers.items()
        if vendors()[provider.kind].dialect not in ("echo", "local")
    ]
    if not remote:
        return []
    with ThreadPoolExecutor(min(THREADS_MAX, len(remote))) as pool:
        return list(pool.map(lambda one: _probe(loaded, *one), remote))


def _probe(loaded: Loaded, name: str, provider: Provider) -> Finding:
    url = f"{provider.base_url}{_path(provider)}"
    started_s = time.monotonic()
    try:
        status, date = _status(url, provider)
    except ssl.SSLCertVerificationError as error:
        fix = f"set providers.{name}.ca_file to the certificate of your authority"
        return Finding(FAILURE, name, f"{url}: certificate: {error.verify_message}", fix)
    except socket.gaierror:
        host = urlsplit(provider.proxy or url).hostname
        return Finding(
            FAILURE, name, f"{url}: no such host: {host}", f"correct providers.{name}.base_url"
        )
    except TimeoutError:
        fix = f"check the network, or set providers.{name}.proxy"
        return Finding(FAILURE, name, f"{url}: no answer in time", fix)
    except ConnectionRefusedError:
        fix = f"start it, or correct providers.{name}.base_url"
        return Finding(FAILURE, name, f"{url}: nothing listens there", fix)
    except (OSError, HTTPException, ValueError) as error:  # ValueError: no host name, IDNA says
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        fix = f"check providers.{name}.base_url and proxy"
        return Finding(FAILURE, name, f"{url}: {reason}", fix)
    latency_ms = (time.monotonic() - started_s) * 1000
    return _timed(_judged(loaded, name, url, status)._replace(latency_ms=latency_ms), date)


def _timed(found: Finding, date: str) -> Finding:
    """The same, unless it is good and the clocks are not."""
    apart_s = _apart_s(date, time.time())
    if found.mark != OK or abs(apart_s) < SKEW_S_MAX:
        return found
    text = f"{found.text}; its clock is {abs(apart_s):.0f} s {'ahead' if apart_s > 0 else 'behind'}"
    return found._replace(mark=WARNING, text=text, fix="timedatectl set-ntp true")


def _apart_s(date: str, now_s: float) -> float:
    """How far the clock of a `Date` header is ahead of ours; 0 where it says nothing."""
    try:
        return parsedate_to_datetime(date).timestamp() - now_s if date else 0.0
    except ValueError:
        return 0.0


def _judged(loaded: Loaded, name: str, url: str, status: int) -> Finding:
    provider = loaded.settings.providers[name]
    said = f"{url} answered {status}"
    if status == 200:
        key = "key accepted" if provider.api_key else "no key needed"
        return Finding(OK, name, f"{url}: {key}")
    if status in (401, 403):
        origin = loaded.origins.get(f"providers.{name}.api_key", "default")
        fix = (
            f"correct the key (it comes from {origin})" if provider.api_key else _key_fix(provider)
        )
        return Finding(FAILURE, name, f"{said}: the key is refused", fix)
    if status in (404, 405):
        return Finding(
            WARNING, name, f"{said}: it has no model list, or base_url is wrong", "try a request"
        )
    if status == 429:
        return Finding(WARNING, name, f"{said}: it limits us now", "try again later")
    return Finding(WARNING if status >= 500 else FAILURE, name, said, f"check providers.{name}")


def _key_fix(provider: Provider) -> str:
    from gatemill.settings import vendors

    variables = vendors()[provider.kind].key_variables
    return f"export {variables[0]}=…" if variables else "set its api_key"


def _path(provider: Provider) -> str:
    from gatemill.settings import vendors

    path = "/v1/models" if vendors()[provider.kind].dialect == "anthropic" else "/models"
    return f"{path}?api-version={provider.api_version}" if provider.api_version else path


def _headers(provider: Provider) -> dict[str, str]:
    from gatemill.settings import vendors

    vendor = vendors()[provider.kind]
    headers = {"user-agent": f"gatemill/{VERSION}", "accept": "application/json"}
    secret = provider.api_key.get_secret_value() if provider.api_key else ""
    if secret and vendor.auth == "api-key":
        headers["api-key"] = secret
    elif vendor.auth == "dialect" or secret:
        dialect: Any = import_module(f"gatemill.providers.{vendor.dialect}")
        headers.update(dialect.secret_headers(secret))
    named = {"openai-organization": provider.organization, "openai-project": provider.project}
    headers.update({name: value for name, value in named.items() if value})
    headers.update({name: value.get_secret_value() for name, value in provider.headers.items()})
    return headers


def _status(url: str, provider: Provider) -> tuple[int, str]:
    """The status of a GET, and its date. Raises OSError and HTTPException."""
    connection, target = _connection(url, provider)
    try:
        connection.connect()
        connection.sock.settimeout(ANSWER_TIMEOUT_S)
        connection.request("GET", target, headers=_headers(provider))
        with connection.getresponse() as answer:
            answer.read(_DRAIN_BYTES)
            return answer.status, answer.getheader("date") or ""
    finally:
        connection.close()


def _connection(url: str, provider: Provider) -> tuple[HTTPConnection, str]:
    """A connection for `url`, through the proxy if there is one, and what to ask it for."""
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    via = urlsplit(provider.proxy) if provider.proxy else parts
    host, port, timeout_s = via.hostname or "", via.port, provider.timeout.connect_s
    if parts.scheme == "http":
        plain = HTTPConnection(host, port, timeout=timeout_s)
        return plain, url if provider.proxy else target
    tls = ssl.create_default_context(cafile=provider.ca_file)
    secure = HTTPSConnection(host, port, timeout=timeout_s, context=tls)
    if provider.proxy:
        secure.set_tunnel(parts.hostname or "", parts.port or 443)
    return secure, target

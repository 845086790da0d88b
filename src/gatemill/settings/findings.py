"""What a configuration asks for that will not work, or is dangerous. Rule: pure; what is installed is an argument."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from gatemill.core.finding import FAILURE, OK, WARNING, Finding
from gatemill.settings.errors import path_text
from gatemill.settings.vendors import vendors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gatemill.settings.load import Loaded
    from gatemill.settings.model import Settings

_LOOPBACK = ("127.", "::1", "localhost")
_DISPATCH = {  # extra, and what it brings
    "rabbitmq": ("rabbitmq", ("aio_pika",)),
    "celery": ("celery", ("celery",)),
    "redis": ("redis", ("hiredis",)),
}
_ENGINES = {
    "onnx": ("local", ("onnxruntime", "tokenizers")),
    "torch": ("torch", ("torch", "transformers")),
}


def summary(loaded: Loaded) -> Finding:
    """That it could be read, and what is in it."""
    providers, models = loaded.settings.providers, loaded.settings.models
    source = str(loaded.path) if loaded.path else "no file, built-in defaults"
    count = f"{_counted(len(providers), 'provider')}, {_counted(len(models), 'model name')}"
    return Finding(OK, "config", f"{source} ({count})")


def keys(loaded: Loaded) -> Iterator[Finding]:
    """Providers without a key, and keys that stand in the file itself."""
    for name, provider in loaded.settings.providers.items():
        vendor = vendors()[provider.kind]
        has_key = provider.api_key is not None or provider.api_keys
        if vendor.key_variables and not vendor.probe and not has_key:
            variable = vendor.key_variables[0]
            fix = f'export {variable}=… and set api_key = "${{{variable}}}"'
            yield Finding(WARNING, name, "has no api_key", fix)
    yield from _keys_written(loaded)


def _keys_written(loaded: Loaded) -> Iterator[Finding]:
    """Keys that stand in the file itself, where they end up in version control."""
    if loaded.path is None:
        return
    raw = tomllib.loads(loaded.path.read_text(encoding="utf-8"))
    for name, provider in raw.get("providers", {}).items():
        key = provider.get("api_key", "")
        if key and not key.startswith("file:") and "${" not in key:
            where = loaded.origins[path_text(("providers", name, "api_key"))]
            fix = 'api_key = "${VARIABLE}" or "file:/path"'
            yield Finding(WARNING, name, f"its key is written in the file ({where})", fix)


def extras(settings: Settings, has: Callable[[str], bool]) -> Iterator[Finding]:
    """Packages that this configuration needs; `has` says which can be imported."""
    needed = dict(_needed(settings))
    for option, (extra, packages) in needed.items():
        missing = [name for name in packages if not has(name)]
        if missing:
            yield Finding(
                FAILURE,
                "packages",
                f"{option} needs {', '.join(missing)}",
                f"pip install 'gatemill[{extra}]'",
            )
    if needed and all(has(name) for _, packages in needed.values() for name in packages):
        names = sorted({extra for extra, _ in needed.values()})
        yield Finding(OK, "packages", f"of the extras {', '.join(names)} are installed")


def _needed(settings: Settings) -> Iterator[tuple[str, tuple[str, tuple[str, ...]]]]:
    """Option, extra, packages."""
    stores = settings.stores
    if stores.database.startswith(("postgres://", "postgresql://")):
        yield "stores.database", ("postgres", ("asyncpg",))
    for name, url in (("counters", stores.counters), ("cache", stores.cache)):
        if url != "memory":
            yield f"stores.{name}", _DISPATCH["redis"]
    if settings.jobs.dispatch in _DISPATCH:
        yield "jobs.dispatch", _DISPATCH[settings.jobs.dispatch]
    if settings.auth.oidc is not None:
        yield "auth.oidc", ("oidc", ("jwt", "cryptography"))
    if settings.telemetry.endpoint:
        yield "telemetry.endpoint", ("otel", ("opentelemetry.proto",))
    for name, model in settings.local.items():
        if model.engine in _ENGINES:
            yield f"local.{name}", _ENGINES[model.engine]
    if _uses_presidio(settings):
        yield "guards", ("presidio", ("presidio_analyzer",))


def _uses_presidio(settings: Settings) -> bool:
    uses = [*settings.guards.input, *settings.guards.output]
    for one in settings.models.values():
        uses += [*one.guards.input, *one.guards.output]
    return any(use.guard == "presidio" for use in uses)


def together(settings: Settings) -> Iterator[Finding]:
    """Settings that are good one by one, and dangerous together."""
    server, stores = settings.server, settings.stores
    public = [
        host
        for host in (server.host, server.admin_host if server.admin_port is not None else "")
        if host and not host.startswith(_LOOPBACK)
    ]
    keeps = settings.cache.ttl_s > 0 or any(
        model.cache is not None and model.cache.ttl_s > 0 for model in settings.models.values()
    )
    if keeps and stores.cache == "memory" and server.workers > 1:
        text = f'stores.cache = "memory" with {server.workers} workers: each keeps its own answers'
        yield Finding(WARNING, "cache", text, 'stores.cache = "redis://host:6379/0"')
    if public and not (settings.auth.public_url or "").startswith("https://"):
        text = f"{public[0]} can be reached by others, and nothing here speaks TLS"
        fix = 'put nginx or Caddy in front (deploy/), and set auth.public_url = "https://…"'
        yield Finding(WARNING, "server", text, fix)
    if public and server.admin_port is None:
        text = f"administration is answered on {public[0]}, too"
        yield Finding(
            WARNING, "server", text, "server.admin_port = 8701 gives it a port of its own"
        )
    guarded = settings.guards.input or settings.guards.output
    if guarded and settings.guards.on_failure == "pass":
        text = 'guards.on_failure = "pass": while a guard cannot answer, nothing is guarded'
        yield Finding(WARNING, "guards", text, 'guards.on_failure = "refuse"')
    if server.log_level == "debug" and public:
        yield Finding(WARNING, "log", "server.log_level is debug", 'server.log_level = "info"')


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")

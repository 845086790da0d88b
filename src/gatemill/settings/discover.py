"""Providers that need no configuration: a key in the environment, a server on this machine.

Rule: what the file says about a provider or a model name is never touched; everything added
says where it was found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from gatemill.local.builtin.cards import CARDS
from gatemill.local.builtin.cards import PROVIDER as BUILTIN
from gatemill.settings.errors import Origin
from gatemill.settings.layers import Layer, table
from gatemill.settings.probe import Listed
from gatemill.settings.server import Server
from gatemill.settings.vendors import Vendor, vendors

MODELS_MAX = 200  # of one local server; the others are reachable as provider/model
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_OWN_KEY_PREFIX = "gm-"

Lister = Callable[[str], Sequence[Listed]]


class Access(NamedTuple):
    """What the environment holds for a vendor; "" where it holds nothing."""

    key: str
    key_variable: str
    base_url: str
    base_url_variable: str
    is_own: bool  # it leads back to this gateway, so neither may be used


def access(vendor: Vendor, environ: Mapping[str, str], port: int) -> Access:
    """The vendor's variables. Clients of this gateway set the same ones, which would be a loop."""
    variable = next((name for name in vendor.key_variables if environ.get(name, "").strip()), "")
    key = environ[variable].strip() if variable else ""
    base_url = environ.get(vendor.base_url_variable, "").strip() if vendor.base_url_variable else ""
    is_own = key.startswith(_OWN_KEY_PREFIX) or _is_own_url(base_url, port)
    return Access(key, variable, base_url, vendor.base_url_variable if base_url else "", is_own)


def discovered(
    tree: Mapping[str, Any], environ: Mapping[str, str], lister: Lister | None
) -> tuple[Layer, tuple[str, ...]]:
    """Providers and models to put under `tree`, which is all that was configured; and hints.

    A hint names what could be there: "claude-* - set ANTHROPIC_API_KEY". `lister` asks a local
    server for its models; None leaves those alone.
    """
    search = _Search(tree, environ)
    if search.switched_on:
        for vendor in vendors().values():
            if vendor.probe:
                continue
            if vendor.kind in search.by_kind or vendor.kind in search.names:
                search.keep_configured(vendor)
            elif vendor.key_variables:
                search.add_hosted(vendor)
        if lister is not None:
            search.add_local(lister)
    search.add_echo()
    search.add_own()
    search.add_served()
    return search.layer, tuple(search.hints)


def own_port(tree: Mapping[str, Any]) -> int:
    """The port this gateway will listen on."""
    port = table(tree, "server").get("port")
    return port if isinstance(port, int) else int(Server.model_fields["port"].default)


class _Search:
    """One pass; `layer` and `hints` grow."""

    def __init__(self, tree: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._port = own_port(tree)
        self._models = table(tree, "models")
        self._served = table(tree, "local")
        is_sound = all(isinstance(tree.get(key, {}), dict) for key in ("providers", "models"))
        self.switched_on = is_sound and table(tree, "server").get("discover") is not False
        self.is_sound = is_sound  # otherwise what is added could only add to the errors
        self.names = table(tree, "providers")
        self.by_kind: dict[str, str] = {}
        for name, provider in self.names.items():
            kind = provider.get("kind") if isinstance(provider, dict) else None
            if isinstance(kind, str):
                self.by_kind.setdefault(kind, name)
        self.layer = Layer()
        self.hints: list[str] = []

    def keep_configured(self, vendor: Vendor) -> None:
        """A configured vendor gets its usual model names when no models are configured at all."""
        name = self.by_kind.get(vendor.kind)
        if name is not None and not self._models:
            for pattern in vendor.patterns:
                self.add_model(pattern, name, "*", Origin(f"with providers.{name}"))

    def add_hosted(self, vendor: Vendor) -> None:
        label = vendor.patterns[0] if vendor.patterns else f"{vendor.kind}/*"
        found = access(vendor, self._environ, self._port)
        if found.is_own:
            variable = found.base_url_variable or found.key_variable
            self.hints.append(f"{label} - {variable} leads to this gateway, so it is not used")
        elif not found.key and vendor.base_url:
            self.hints.append(f"{label} - set {vendor.key_variables[0]}")
        elif found.key and not (vendor.base_url or found.base_url):
            self.hints.append(f"{label} - add [providers.{vendor.kind}] with its base_url")
        elif found.key:
            origin = Origin(f"found {found.key_variable}")
            self.add_provider(vendor.kind, origin)
            for pattern in vendor.patterns:
                self.add_model(pattern, vendor.kind, "*", origin)

    def add_local(self, lister: Lister) -> None:
        """Ask the usual addresses of local servers, all at once."""
        wanted = [
            vendor
            for vendor in vendors().values()
            if vendor.probe and vendor.kind not in self.by_kind and vendor.kind not in self.names
        ]
        if not wanted:
            return
        with ThreadPoolExecutor(len(wanted)) as pool:
            answers = list(pool.map(lister, [vendor.base_url for vendor in wanted]))
        for vendor, models in zip(wanted, answers, strict=True):
            origin = Origin(f"found {vendor.kind} on port {urlsplit(vendor.base_url).port}")
            own = [m for m in models if not vendor.owned_by or m.owned_by == vendor.owned_by]
            if own:
                self.add_provider(vendor.kind, origin)
            for model in own[:MODELS_MAX]:
                if model.id.isprintable() and not set(model.id) & set(" *"):
                    self.add_model(model.id, vendor.kind, model.id, origin)

    def add_echo(self) -> None:
        """The model that needs no provider, unless its name has another meaning."""
        configured = self.names.get("echo", {"kind": "echo"})
        if self.is_sound and isinstance(configured, dict) and configured.get("kind") == "echo":
            self.add_provider("echo", Origin("built in"))
            self.add_model("echo", "echo", "echo", Origin("built in"))

    def add_own(self) -> None:
        """Models that run in this process, under the names of their providers, unless these are taken."""
        for kind in ("builtin", "local"):
            configured = self.names.get(kind, {"kind": kind})
            if self.is_sound and isinstance(configured, dict) and configured.get("kind") == kind:
                self.add_provider(kind, Origin("built in"))
                for name in CARDS if kind == BUILTIN else ():
                    self.add_model(f"{kind}/{name}", kind, name, Origin("built in"))

    def add_served(self) -> None:
        """The models of [local], each under its own name."""
        provider = self.names.get("local", {"kind": "local"})
        for name in self._served:
            if self.is_sound and isinstance(provider, dict) and provider.get("kind") == "local":
                self.add_model(name, "local", name, Origin(f"with local.{name}"))

    def add_provider(self, kind: str, origin: Origin) -> None:
        """Add a provider named after its kind, unless one has the name."""
        if kind not in self.names:
            self.layer.put(("providers", kind), {"kind": kind}, origin)

    def add_model(self, name: str, provider: str, model: str, origin: Origin) -> None:
        """Add a model with one target, unless one has the name. The first vendor to claim it wins."""
        claimed = self.layer.tree.get("models", {})
        if name not in self._models and name not in claimed:
            target = {"provider": provider, "model": model}
            self.layer.put(("models", name), {"targets": [target]}, origin)


def _is_own_url(url: str, port: int) -> bool:
    try:
        parts = urlsplit(url)
        own = parts.hostname in _LOOPBACK and parts.port == port
    except ValueError:
        return False  # validation will complain
    return own

"""Guards that wait for somebody, from the settings: a model, hooks, presidio.

Rule: what is missing is said when the configuration loads. Connections to hooks, and the process of
presidio, outlive a reload that does not change them.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gatemill.core.errors import InvalidValue
from gatemill.gateway.moderation import Moderation
from gatemill.house.providers import tls_of
from gatemill.local.presidio import THRESHOLD as PRESIDIO_THRESHOLD
from gatemill.local.presidio import Bounds, Presidio
from gatemill.local.presidio_child import Options
from gatemill.upstream.hook import Hook
from gatemill.upstream.pool import Pool
from gatemill.wire import webhook

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatemill.core.clock import Clock
    from gatemill.core.guard import Remote, Use
    from gatemill.core.ports import Transport
    from gatemill.gateway.parts import Gateway
    from gatemill.settings.guards import Guards as Said
    from gatemill.settings.guards import Hook as SaidHook

# Among the transports; no provider can have such a name.
_TRANSPORT = "guard hook "


class Judges:
    """All of them under one configuration."""

    def __init__(
        self, said: Said, transports: Mapping[str, Transport], clock: Clock, presidio: Reader
    ) -> None:
        """Raises InvalidValue for a hook's secret that is none."""
        self._said = said
        self._moderation = Moderation(said.moderation.model, said.moderation.timeout_s)
        self._hooks = {
            name: _hook(name, hook, transports[_TRANSPORT + name], clock)
            for name, hook in said.hooks.items()
        }
        self._presidio = presidio

    def remote(self, use: Use) -> tuple[Remote, float]:
        """The guard, and the score from which it counts. Raises InvalidValue, ExtraNotInstalled."""
        if use.guard == "moderation":
            return self._moderation, self._said.moderation.threshold
        if use.guard == "presidio":
            return self._presidio.reader(self._said), PRESIDIO_THRESHOLD
        hook = self._hooks.get(use.hook)
        if hook is None:
            names = ", ".join(self._hooks) or "none"
            raise InvalidValue(
                f"`hook`: there is no `{use.hook[:60]}` in [guards.hooks]; there are {names}.",
                param="hook",
            )
        return hook, 0.0

    def attach(self, gateway: Gateway) -> None:
        """The moderating model is asked through this gateway."""
        self._moderation.gateway = weakref.ref(gateway)


class Reader:
    """Presidio's process, once somebody asks for it. Outlives a reload; one for the house."""

    def __init__(self) -> None:
        self.presidio: Presidio | None = None
        self._made_for: object = None
        self._ended: list[Presidio] = []  # of former settings; closed with the house

    def reader(self, said: Said) -> Presidio:
        """The one for these settings. Raises ExtraNotInstalled."""
        wanted = said.presidio
        if self.presidio is None or self._made_for != wanted:
            made = Presidio(
                Options(wanted.language, wanted.model), Bounds(wanted.timeout_s, wanted.waiting_max)
            )
            if self.presidio is not None:
                self._ended.append(self.presidio)
            self.presidio, self._made_for = made, wanted
        return self.presidio

    async def close(self) -> None:
        """No process is left."""
        for one in (*self._ended, *([] if self.presidio is None else [self.presidio])):
            await one.close()


def hook_transports(
    said: Said, previous: Said | None, kept: Mapping[str, Transport]
) -> dict[str, Transport]:
    """A way to each hook, and the one of `previous` where it has not changed."""
    old = {} if previous is None else previous.hooks
    return {
        _TRANSPORT + name: kept[_TRANSPORT + name] if old.get(name) == hook else _transport(hook)
        for name, hook in said.hooks.items()
    }


def _transport(hook: SaidHook) -> Transport:
    url = urlsplit(hook.url)
    tls = tls_of(None) if url.scheme == "https" else None
    return Pool(f"{url.scheme}://{url.netloc}", (), connections_max=hook.concurrency_max, tls=tls)


def _hook(name: str, hook: SaidHook, transport: Transport, clock: Clock) -> Hook:
    key = None
    if hook.secret is not None:
        try:
            key = webhook.key_of(hook.secret.get_secret_value())
        except InvalidValue as error:
            raise InvalidValue(
                f"`guards.hooks.{name}.secret`: {error.message}",
                param=f"guards.hooks.{name}.secret",
            ) from None
    path = urlsplit(hook.url).path or "/"
    return Hook((transport, path), key, hook.timeout_s, clock)

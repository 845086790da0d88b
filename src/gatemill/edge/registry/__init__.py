"""Models and prompts of one's own: names, versions, aliases. Rule: managing is an admin's business."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.edge.admin.clerk import Clerk
from gatemill.edge.deferred import desk_of
from gatemill.edge.jobs.counter import Counter
from gatemill.edge.registry import aliases, cards, names, prompts, versions

if TYPE_CHECKING:
    from gatemill.core.call import Key
    from gatemill.core.ports import Json
    from gatemill.edge.application import Application
    from gatemill.edge.shown import Shown
    from gatemill.registry.desk import Desk


def add(app: Application, shown: Shown) -> None:
    """The routes."""
    clerk = Clerk(shown)

    def desk() -> Desk:
        return desk_of(shown.door).services.rooms.registry

    names.add(app, clerk, desk)
    versions.add(app, Counter(clerk, shown), desk)
    aliases.add(app, clerk, desk)
    prompts.add(app, clerk, desk)


def known(shown: Shown, key: Key, model: str) -> Json | None:
    """What the registry has of a name that this key may see; None where it has nothing."""
    if shown.door.desk is None:
        return None
    return cards.known(shown.door.desk.services.rooms.registry, key, model)

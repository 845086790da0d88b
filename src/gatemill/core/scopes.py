"""What a key may do, as words. Rule: a scope only ever shrinks; nobody gives what they do not have."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# In the order in which people read them. `admin` holds all others.
ALL = (
    "inference",  # models, answers, explanations, feedback
    "jobs",  # jobs, batches, files, webhooks
    "knowledge",  # vector stores, documents, answers from them
    "features",  # to read and write what is known of entities, whoever they are
    "usage",  # the key's own usage and requests
    "admin:read",  # everything that admins see; changes nothing
    "admin",
)
# Of a key that was made without a word about it: all that concerns nobody but its owner.
DEFAULT = ("inference", "jobs", "knowledge", "usage")


def ordered(said: Iterable[str]) -> tuple[str, ...]:
    """The scopes in their order, each once, without unknown ones; `admin` brings all others."""
    names = set(said)
    return ALL if "admin" in names else tuple(scope for scope in ALL if scope in names)

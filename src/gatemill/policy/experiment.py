"""Which version a caller gets, and keeps. Rule: a pure function of the salt, the arms and the caller.

Weighted rendezvous hashing: every arm gets a score for the caller, and the highest wins. When one
weight changes or an arm is added, only the share of callers moves that has to.
Source: Schindelhauer and Schomaker, "Weighted distributed hash tables", 2005.
"""

from __future__ import annotations

import hashlib
from math import log
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from gatemill.core.call import Call


# Fields of a request that no arm may replace: who answers, what is asked, and how the answer comes.
FIXED = frozenset(
    (
        *("model", "messages", "input", "text", "query", "documents", "stream", "user"),
        *("prompt", "prompt_id", "prompt_variables", "entities", "features", "metadata"),
    )
)


class Arm(Struct, frozen=True):
    """One version."""

    name: str
    model: str  # whose targets answer: a name of [models]
    weight: float  # relative to the other arms; 0 gets nobody
    prompt: str = ""  # a prompt of the registry that is filled in; "" leaves the messages alone
    params: bytes = b""  # JSON object of fields that replace those of the request; b"" for none


class Experiment(Struct, frozen=True):
    """Versions among which callers are split."""

    arms: tuple[Arm, ...]  # at least one
    by: str  # what stays with its arm: "key", "user" or "conversation"
    salt: str  # another salt is another split
    id: str = ""  # of one whose outcomes are kept; "" for those of the configuration file


class Split(Struct, frozen=True):
    """An experiment made over the API, as it is served."""

    name: str  # the model name that callers say
    experiment: Experiment
    shadow: Arm | None = None  # gets copies of requests, whose answers nobody sees
    share: float = 1.0  # of the requests


def who(experiment: Experiment, key_id: str, call: Call) -> str:
    """What is hashed: the next wider one where the caller does not say it."""
    if experiment.by == "key":
        return key_id
    if experiment.by == "conversation" and call.conversation:
        return call.conversation
    return call.user or key_id


def arm(experiment: Experiment, unit: str) -> Arm:
    """The arm that `unit` gets."""
    arms = experiment.arms
    best, most = arms[0], -1.0
    for each in arms:
        if not each.weight:
            continue
        score = each.weight / -log(_between(f"{experiment.salt}\0{each.name}\0{unit}"))
        if score > most:
            best, most = each, score
    return best


def _between(text: str) -> float:
    """A number in (0, 1), neither end included, so that its logarithm is negative and finite."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return ((int.from_bytes(digest[:8], "big") >> 12) + 0.5) / (1 << 52)

"""Options of the guards. Rule: values only."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field

from gatemill.settings.secret import Secret
from gatemill.settings.section import Count, Seconds, Section, Share, Url

GuardName = Literal["size", "pii", "secrets", "injection", "moderation", "http", "presidio"]
GUARDS: tuple[str, ...] = get_args(GuardName)


class GuardUse(Section):
    """One guard at work, on one side."""

    guard: GuardName = Field(description="Which one.")
    mode: Literal["block", "mask", "restore", "log", "off"] = Field(
        "block",
        description="What happens to what it finds: refused, replaced by a label, replaced and put back in the answer (input only), only written down; `off` takes away what a wider scope asks.",
    )
    kinds: tuple[str, ...] = Field(
        (), description="Kinds that it looks for, such as card and email; by default all it knows."
    )
    threshold: Share | None = Field(
        None, description="Score from which a finding counts; by default the guard's own."
    )
    chars_max: Count | None = Field(None, description="Of `size`: most characters of all texts.")
    hook: str = Field("", description="Of `http`: a name of [guards.hooks].")


class GuardUses(Section):
    """Guards of one scope, on the way in and on the way out."""

    input: tuple[GuardUse, ...] = Field((), description="Guards of requests.")
    output: tuple[GuardUse, ...] = Field((), description="Guards of answers.")


class Hook(Section):
    """A server of the team's own that judges texts."""

    url: Url = Field(description="Where texts are sent.")
    secret: Secret | None = Field(
        None, description="Signs each request, as webhooks are signed; `whsec_` and base64."
    )
    timeout_s: Seconds = Field(2.0, description="Patience with one answer.")
    concurrency_max: Count = Field(64, description="Most requests at once; more wait.")


class Moderation(Section):
    """The model that the guard `moderation` asks."""

    model: str = Field(
        "builtin/moderation",
        min_length=1,
        description="A model that answers moderations, or one that classifies.",
    )
    timeout_s: Seconds = Field(5.0, description="Patience with one answer.")
    threshold: Share = Field(0.5, description="Score from which a category counts.")


class Presidio(Section):
    """How the guard `presidio` reads; it needs the extra of that name."""

    language: str = Field(
        "en", pattern="^[a-z]{2}$", description="Language of the texts, such as en or de."
    )
    model: str = Field(
        "",
        description="An installed pipeline of spaCy, such as en_core_web_lg, which finds names; without one only patterns are looked for.",
    )
    timeout_s: Seconds = Field(30.0, description="Patience with one request's texts.")
    waiting_max: Count = Field(16, description="Most requests that wait for it; more are refused.")


class Guards(Section):
    """What requests and answers must not hold. Models, teams and keys may say otherwise, guard by guard."""

    input: tuple[GuardUse, ...] = Field((), description="Guards of requests.")
    output: tuple[GuardUse, ...] = Field((), description="Guards of answers.")
    on_failure: Literal["refuse", "pass"] = Field(
        "refuse", description="What happens while a guard cannot answer: 503, or no guard."
    )
    patterns: dict[str, str] = Field(
        {}, description="Further kinds of `pii`: a name, and an expression in RE2's syntax."
    )
    pattern_bytes_max: Count = Field(
        256, le=4096, description="Longest text that one of `patterns` finds."
    )
    hooks: dict[str, Hook] = Field({}, description="Servers that judge texts, by name.")
    moderation: Moderation = Field(
        Moderation.model_construct(), description="The model that moderates."
    )
    presidio: Presidio = Field(Presidio.model_construct(), description="The guard of that name.")
    held_bytes_max: Count = Field(
        1_048_576,
        description="Most bytes of a stream that are held for a guard that needs the whole answer; a longer one is refused.",
    )

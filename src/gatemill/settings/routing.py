"""Options of one model name beyond its targets: choice, experiments, shadow, cache. Rule: values only."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from gatemill.policy.experiment import FIXED
from gatemill.settings.section import Count, Section, Share

Strategy = Literal["weight", "order", "latency", "cost"]


class Arm(Section):
    """One version in an experiment."""

    model: str = Field(description="Name of [models] that answers.")
    weight: Count = Field(description="Share of the units, relative to the other arms.")
    prompt: str = Field("", description="A prompt of the registry that is filled in.")
    params: dict[str, Any] = Field(
        default_factory=dict, description="Fields that replace those of the request."
    )

    @field_validator("params")
    @classmethod
    def _check_params(cls, value: dict[str, Any]) -> dict[str, Any]:
        fixed = FIXED & value.keys()
        if fixed:
            raise ValueError(f"an arm cannot replace {', '.join(sorted(fixed))}")
        return value


class Experiment(Section):
    """Versions among which callers are split, each staying with its own."""

    arms: dict[str, Arm] = Field(min_length=1, description="Versions by name, such as v1 and v2.")
    by: Literal["key", "user", "conversation"] = Field(
        "user",
        description="What stays with its arm: the key; the end user in `user` or X-User-ID; the conversation in X-Conversation-ID.",
    )
    salt: str = Field("", description="Changes who gets which arm; by default the model's name.")


class Complexity(Section):
    """Cheap models for simple prompts, decided from the text alone."""

    simple: str = Field(description="Name of [models] for simple prompts.")
    hard: str = Field(description="Name of [models] for all others.")
    threshold: Share = Field(0.5, description="Score from which a prompt is hard.")


class ByFeature(Section):
    """Another model for callers of whom something is known."""

    feature: str = Field(
        pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$",
        description="What decides: entity and feature, such as `user.tier`, of a set that is trusted.",
    )
    models: dict[str, str] = Field(
        min_length=1,
        description="Name of [models] by the feature's value; numbers and booleans as JSON has them.",
    )
    default: str = Field(description="Name of [models] for any other value, and for none.")


class Shadow(Section):
    """A copy of some requests to another model, whose answer nobody sees."""

    model: str = Field(description="Name of [models] that gets the copy.")
    share: Share = Field(1.0, description="Share of the requests.")
    concurrency_max: Count = Field(16, description="Most copies under way; beyond it none is sent.")


class Cache(Section):
    """Answers that are kept and given again to the same tenant."""

    ttl_s: float = Field(
        0.0, ge=0, le=31_536_000, description="How long an answer is fresh; 0 keeps none."
    )
    stale_s: float = Field(
        0.0,
        ge=0,
        le=31_536_000,
        description="How long after that it may still be given when every target fails.",
    )
    scope: Literal["key", "team", "all"] = Field(
        "key", description="Who shares answers: one key, the keys of a team, everybody."
    )
    memory_bytes: Count = Field(67_108_864, description="Most memory for answers.")
    entry_bytes: Count = Field(1_048_576, description="Largest answer that is kept.")
    similar_model: str | None = Field(
        None, description="Name of an embedding model that finds similar prompts; off by default."
    )
    similar_min: Share = Field(
        0.95, description="Cosine similarity from which a prompt counts as the same."
    )

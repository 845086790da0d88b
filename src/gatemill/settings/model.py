"""Every option of Gatemill: name, default, unit, one sentence. Rule: values only; nothing here reads anything.

docs/settings.md and the JSON schema are made from these classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic_core import CoreSchema

from gatemill.settings.admission import Allowance, Idempotency, Reserve
from gatemill.settings.alerts import Alerts
from gatemill.settings.auth import Auth
from gatemill.settings.experiments import Experiments
from gatemill.settings.features import Features
from gatemill.settings.guards import Guards, GuardUses
from gatemill.settings.jobs import Batches, Files, Jobs, Webhooks
from gatemill.settings.knowledge import Knowledge
from gatemill.settings.local import LocalModel, Serving
from gatemill.settings.recordings import Recordings
from gatemill.settings.registry import Registry
from gatemill.settings.resilience import Breaker, Queueing, Retries
from gatemill.settings.routing import ByFeature, Cache, Complexity, Experiment, Shadow, Strategy
from gatemill.settings.secret import Secret
from gatemill.settings.section import Count, Dollars, Operation, Seconds, Section, Url
from gatemill.settings.server import Server
from gatemill.settings.telemetry import Telemetry
from gatemill.settings.vendors import vendors

_SQLITE = "sqlite:///"
_POSTGRES = ("postgres://", "postgresql://")


def _kind(value: str) -> str:
    if value not in vendors():
        raise ValueError(f"no such kind: {value}")  # errors.py words it, with the nearest name
    return value


def _database(value: str) -> str:
    if value and (value == _SQLITE or not value.startswith((_SQLITE, *_POSTGRES))):
        raise ValueError(
            'write "sqlite:///path/to/file.db", "postgresql://user:password@host/database",'
            " or leave it empty"
        )
    return value


def _store(value: str) -> str:
    if value != "memory" and not value.startswith(("redis://", "rediss://")):
        raise ValueError('write "memory" or "redis://host:6379/0"')
    return value


Store = Annotated[str, AfterValidator(_store)]
Kind = Annotated[str, AfterValidator(_kind), Field(json_schema_extra={"enum": list(vendors())})]


class Timeout(Section):
    """Patience with one provider. A bare number stands for `total_s`."""

    connect_s: Seconds = Field(3.0, description="Time to connect, TLS included.")
    first_token_s: Seconds = Field(60.0, description="Time until the first byte of the answer.")
    between_chunks_s: Seconds = Field(60.0, description="Longest silence within a stream.")
    total_s: Seconds = Field(600.0, description="Time for one attempt as a whole.")

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, handler(schema)]}

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, value: Any) -> Any:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return {"total_s": value} if is_number else value


class Provider(Section):
    """One place that models are called at; its name stands before the slash in `provider/model`."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        shown = handler(schema)
        del shown["required"]  # the kind, which a provider named like one need not say
        return shown

    kind: Kind = Field(
        description="What it speaks: a dialect or a vendor; by default the name of the provider."
    )
    base_url: Url | None = Field(
        None, description="URL that operations are appended to; by default the one of the kind."
    )
    api_key: Secret | None = Field(
        None,
        description="Its key; by default the variable of the kind, such as OPENAI_API_KEY, unless `base_url` is set.",
    )
    timeout: Timeout = Field(Timeout.model_construct(), description="Patience with this provider.")
    headers: dict[str, Secret] = Field({}, description="Headers added to every request to it.")
    api_keys: tuple[Secret, ...] = Field(
        (),
        description="Several keys instead of `api_key`, used in turn; one that is refused rests.",
    )
    breaker: Breaker | None = Field(
        None, description="When its targets are left alone; by default [breaker]."
    )
    queue: Queueing = Field(
        Queueing.model_construct(),
        description="How many requests each of its targets gets at once.",
    )
    proxy: Url | None = Field(None, description="HTTP proxy to reach it by.")
    connections_max: Count = Field(256, description="Most connections open at once.")
    native: tuple[Operation, ...] | None = Field(
        None, description="Operations it offers itself; by default those of the kind."
    )
    organization: str | None = Field(None, description="OpenAI organization to bill.")
    project: str | None = Field(None, description="OpenAI project to bill.")
    output_default: Count = Field(
        4096, description="Output tokens to ask for where the API demands a number."
    )
    api_version: str | None = Field(
        None, description="Dated API version, for the older form of Azure's API."
    )
    ca_file: str | None = Field(
        None, description="File of certificates to trust instead of the system's."
    )
    internal: bool = Field(
        default=False,
        description="Whether it is one's own, and is told which trace a request belongs to.",
    )


class Target(Section):
    """One model of one provider. `"provider/model"` is the short form."""

    provider: str = Field(description="Name of a configured provider.")
    model: str = Field(
        min_length=1,
        description="The provider's name of the model; `*` is the name that was asked for.",
    )
    weight: Count = Field(1, description="Share of the requests, relative to the other targets.")
    context_tokens: Count | None = Field(
        None, description="Most tokens of prompt and answer together; longer requests go elsewhere."
    )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", "pattern": "^[^/]+/.+"}, handler(schema)]}

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        provider, slash, model = value.partition("/")
        if not (provider and slash and model):
            raise ValueError('expected "provider/model"')
        return {"provider": provider, "model": model}


class Model(Section):
    """A name that clients use. A `*` in the name stands for any characters."""

    targets: tuple[Target, ...] = Field(
        (),
        description="Where requests go; needed unless `experiment`, `complexity` or `by_feature` leads on.",
    )
    strategy: Strategy = Field(
        "weight",
        description="Which target is first: by weight, in order, the one that answers soonest, the cheapest.",
    )
    experiment: Experiment | None = Field(
        None, description="Versions among which callers are split."
    )
    complexity: Complexity | None = Field(
        None, description="A cheap model for simple prompts, another for the rest."
    )
    by_feature: ByFeature | None = Field(
        None, description="A model for each value of something known of the caller."
    )
    shadow: Shadow | None = Field(None, description="Another model that gets copies.")
    cache: Cache | None = Field(None, description="Which answers are kept; by default [cache].")
    limits: Allowance = Field(
        Allowance.model_construct(), description="What all callers together may use of it."
    )
    fallbacks: tuple[str, ...] = Field(
        (),
        description="Other names of [models], without *, tried in order when every target fails; `cache` at the end gives an answer that is no longer fresh.",
    )
    guards: GuardUses = Field(
        GuardUses.model_construct(),
        description="Guards of this model; each replaces that of [guards] with its name.",
    )
    description: str = Field("", description="Shown in lists of models.")
    output_max: Count | None = Field(
        None, description="Most output tokens that a request may ask for."
    )


class Limits(Section):
    """What the door accepts and holds."""

    body_bytes: Count = Field(33_554_432, description="Largest request body.")
    header_bytes: Count = Field(32_768, description="Largest request head.")
    header_count: Count = Field(64, description="Most header fields of a request.")
    header_timeout_s: Seconds = Field(10.0, description="Time for the head of a request to arrive.")
    body_idle_s: Seconds = Field(
        10.0, description="Time after which a body must keep its minimum rate."
    )
    body_bytes_per_s: Count = Field(1024, description="Minimum rate of a body after `body_idle_s`.")
    json_depth: Count = Field(64, description="Deepest nesting of arrays and objects in a body.")
    write_stall_s: Seconds = Field(
        30.0, description="Time that a client may take nothing of its answer."
    )
    keep_alive_s: Seconds = Field(75.0, description="Time that an idle connection is kept.")
    connections: Count = Field(10_000, description="Most client connections.")
    requests_in_flight: Count = Field(
        2048, description="Most requests at once; more are answered 503."
    )
    websocket_message_bytes: Count = Field(1_048_576, description="Largest WebSocket message.")
    default: Allowance = Field(
        Allowance.model_construct(), description="What a key may use that has no limits of its own."
    )


class Stores(Section):
    """Where keys and usage are kept."""

    database: Annotated[str, AfterValidator(_database)] = Field(
        "",
        description="`sqlite:///` and a path, relative to `data_dir`, or `postgresql://…`; empty means gatemill.db there.",
    )
    counters: Store = Field(
        "memory",
        description="Where limits and budgets are counted: `memory` for one process, `redis://…` for several.",
    )
    cache: Store = Field("memory", description="Where answers are kept: `memory` or `redis://…`.")
    when_away: Literal["refuse", "share"] = Field(
        "refuse",
        description="What happens to requests under a hard budget while Redis is away: 503, or this process's share of what was left.",
    )
    usage_retention_days: Count = Field(90, description="Days that usage rows are kept.")
    audit_retention_days: Count = Field(
        365, description="Days that entries of the audit log are kept."
    )


class Rates(Section):
    """Price of a model in dollars per million tokens. It replaces the built-in one."""

    input: Dollars = Field(description="Prompt tokens.")
    output: Dollars = Field(description="Generated tokens, reasoning included.")
    cache_read: Dollars | None = Field(
        None, description="Prompt tokens read from the provider's cache; by default `input`."
    )
    cache_write: Dollars | None = Field(
        None, description="Prompt tokens written to the provider's cache; by default `input`."
    )
    cache_write_1h: Dollars | None = Field(
        None, description="Those that it keeps for an hour (Anthropic); by default `cache_write`."
    )
    input_audio: Dollars | None = Field(
        None, description="Audio tokens of the prompt; by default `input`."
    )
    output_audio: Dollars | None = Field(
        None, description="Generated audio tokens; by default `output`."
    )


class Keys(Section):
    """Callers' keys. The keys themselves are in the database."""

    dev_key: bool = Field(
        default=True,
        description="Whether a development key is written to `data_dir` on the first start.",
    )


class Settings(Section):
    """The whole configuration."""

    server: Server = Field(
        Server.model_construct(), description="Where Gatemill listens and how it behaves."
    )
    providers: dict[str, Provider] = Field(
        {}, description="Places that models are called at, by name."
    )
    models: dict[str, Model] = Field({}, description="Names that clients use.")
    limits: Limits = Field(Limits.model_construct(), description="What the door accepts and holds.")
    stores: Stores = Field(Stores.model_construct(), description="Where keys and usage are kept.")
    prices: dict[str, Rates] = Field({}, description="Prices by `model` or `provider/model`.")
    keys: Keys = Field(Keys.model_construct(), description="Callers' keys.")
    auth: Auth = Field(Auth.model_construct(), description="Signing in with a browser.")
    breaker: Breaker = Field(
        Breaker.model_construct(), description="When a target that fails is left alone."
    )
    retries: Retries = Field(
        Retries.model_construct(), description="How often a failed attempt is followed by another."
    )
    cache: Cache = Field(Cache.model_construct(), description="Answers that are kept.")
    reserve: Reserve = Field(
        Reserve.model_construct(), description="What is set aside before the real cost is known."
    )
    alerts: Alerts = Field(
        Alerts.model_construct(), description="Who is told of budgets and incidents, and when."
    )
    idempotency: Idempotency = Field(
        Idempotency.model_construct(), description="Answers kept for repeated requests."
    )
    jobs: Jobs = Field(Jobs.model_construct(), description="Work that outlives a request.")
    batches: Batches = Field(Batches.model_construct(), description="OpenAI batches.")
    files: Files = Field(
        Files.model_construct(),
        description="Files that callers upload, and those that batches make.",
    )
    webhooks: Webhooks = Field(
        Webhooks.model_construct(), description="Notifications to callers' servers."
    )
    local: dict[str, LocalModel] = Field({}, description="Models that run on this machine.")
    serving: Serving = Field(
        Serving.model_construct(), description="What all models on this machine share."
    )
    registry: Registry = Field(
        Registry.model_construct(), description="Models and prompts with versions and aliases."
    )
    experiments: Experiments = Field(
        Experiments.model_construct(), description="Experiments made over the API."
    )
    features: Features = Field(
        Features.model_construct(), description="What is known of users and other entities."
    )
    recordings: Recordings = Field(
        Recordings.model_construct(), description="Requests and answers kept for replay."
    )
    knowledge: Knowledge = Field(
        Knowledge.model_construct(), description="Documents to search and to answer from."
    )
    guards: Guards = Field(
        Guards.model_construct(), description="What requests and answers must not hold."
    )
    telemetry: Telemetry = Field(
        Telemetry.model_construct(), description="Traces, and where they are sent."
    )

    @property
    def data_dir(self) -> Path:
        """The folder of `server.data_dir`."""
        return Path(self.server.data_dir)

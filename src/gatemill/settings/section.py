"""What all sections of the settings share. Rule: values only."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gatemill.policy.price import USD_PER_MTOK_MAX


class Section(BaseModel):
    """What all sections share: unknown keys are errors, nothing changes after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError('expected a URL such as "https://host/v1"')
    if parts.query or parts.fragment:
        raise ValueError("a URL here has no query and no fragment")
    assert parts.port is None or parts.port > 0  # an impossible port raises ValueError here
    return value.rstrip("/")


def _url_or_nothing(value: str) -> str:
    return _url(value) if value else value


# What a provider may offer itself.
Operation = Literal[
    "chat",
    "completions",
    "embeddings",
    "responses",
    "messages",
    "count_tokens",
    "predict",
    "rerank",
    "moderations",
]
Url = Annotated[str, AfterValidator(_url)]
UrlOrNothing = Annotated[str, AfterValidator(_url_or_nothing)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
# Not strict, so that whole numbers are taken too. Six decimals are one pico-dollar per token.
Dollars = Annotated[Decimal, Field(ge=0, le=USD_PER_MTOK_MAX, decimal_places=6, strict=False)]
# Six decimals are one micro-dollar.
Amount = Annotated[Decimal, Field(ge=0, le=1_000_000_000, decimal_places=6, strict=False)]

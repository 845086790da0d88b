"""Options of signing in. Rule: values only."""

from __future__ import annotations

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from gatemill.settings.secret import Secret
from gatemill.settings.section import Seconds, Section, Url


def _whom(value: str) -> str:
    name, at, domain = value.partition("@")
    if value.removeprefix("group:") in ("", value) and not (name and at and domain):
        raise ValueError('write "ada@example.com", "*@example.com" or "group:platform"')
    return value


def _origin(value: str) -> str:
    if urlsplit(value).path:
        raise ValueError('write scheme and host, such as "https://gateway.example.com"')
    return value


Whom = Annotated[str, AfterValidator(_whom)]


class Oidc(Section):
    """An identity provider that people sign in with (OpenID Connect)."""

    issuer: Url = Field(description="The provider's issuer, as its discovery document says it.")
    client_id: str = Field(min_length=1, description="What the provider calls this gateway.")
    client_secret: Secret | None = Field(
        None, description="Its secret there; none for a public client, which proves itself by PKCE."
    )
    scopes: tuple[str, ...] = Field(
        ("openid", "email", "profile"), description="Scopes asked for at the provider."
    )
    groups_claim: str = Field(
        "groups", min_length=1, description="Claim of the token that lists a person's groups."
    )
    admins: tuple[Whom, ...] = Field(
        (),
        description="Who may change everything: `ada@example.com`, `*@example.com` or `group:NAME`.",
    )
    readers: tuple[Whom, ...] = Field(
        (), description="Who may see what admins see, and change nothing; written the same way."
    )


class Auth(Section):
    """Signing in with a browser."""

    public_url: Annotated[Url, AfterValidator(_origin)] | None = Field(
        None,
        description="URL under which browsers reach this server; with https its cookies are secure ones.",
    )
    idle_s: Seconds = Field(7200.0, description="Time without a request after which one is out.")
    lifetime_s: Seconds = Field(43_200.0, description="Longest time that one stays signed in.")
    oidc: Oidc | None = Field(None, description="An identity provider to sign in with.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.oidc is not None and self.public_url is None:
            raise ValueError("set auth.public_url: the identity provider sends people back there")
        return self

"""Where a deployment is reached, and with which key: litellm_params -> a provider of ours.

Rule: one provider for all deployments that are reached in the same way.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gatemill.cli.litellm.draft import number_of, text_of
from gatemill.cli.litellm.known import fitting, known
from gatemill.settings import vendors

if TYPE_CHECKING:
    from gatemill.cli.litellm.draft import Draft
    from gatemill.cli.litellm.known import Vendor
    from gatemill.cli.litellm.reading import Value

TIMEOUT_S_MAX = 86_400
_OPERATIONS = re.compile(r"/(v1/messages|chat/completions|completions|embeddings)/?$")
_NO_KEYS = {"none", "empty", "no-key"}  # what people write for servers that want none
_AZURE_NEW = {"v1", "preview", "latest"}  # versions of the API whose path has no date
NAMES = {  # of litellm_params that are read here
    "model",
    "api_key",
    "api_base",
    "base_url",
    "api_version",
    "organization",
    "extra_headers",
    "headers",
    "default_headers",
    "timeout",
    "stream_timeout",
    "request_timeout",
    "max_parallel_requests",
    "custom_llm_provider",
}


class Unreachable(Exception):
    """Why it cannot be carried over."""


def split(params: dict[str, Value]) -> tuple[str, str]:
    """LiteLLM's name of the provider, and the provider's name of the model. Raises Unreachable."""
    said = text_of(params.get("model"))
    if "${" in said:
        raise Unreachable("a model's name cannot come from the environment; write it")
    own = text_of(params.get("custom_llm_provider"))
    if own in known().providers:
        return own, said.removeprefix(f"{own}/")
    prefix, slash, model = said.partition("/")
    if slash and prefix in known().providers:
        return prefix, model
    if said in ("*", ""):
        return "openai", said
    guessed = _guessed(said)
    if guessed:
        return guessed, said
    if params.get("api_base") or params.get("base_url"):
        return "openai", said
    if slash:
        return prefix, model  # unknown; its row says what to do
    raise Unreachable("who has this model? write it as provider/model")


def provider(draft: Draft, entry: Value, prefix: str) -> str:
    """The name of our provider for this deployment. Raises Unreachable."""
    vendor = known().vendor(prefix)
    if not vendor.kind:
        raise Unreachable(vendor.instead)
    params = entry.entries()["litellm_params"].entries()
    table: dict[str, Any] = {"kind": vendor.kind}
    _place(draft, params, vendor, table)
    _key(draft, params, vendor, table)
    if organization := text_of(params.get("organization")):
        table["organization"] = organization
    _headers(params, table)
    _patience(draft, params, table)
    return draft.provider(prefix, table)


def _guessed(name: str) -> str:
    """The vendor of a bare name; "" where nobody knows."""
    ours = fitting(known().bare, name)
    if ours:
        return ours
    for kind, vendor in vendors().items():
        if any(fnmatchcase(name, pattern) for pattern in vendor.patterns):
            return kind
    return ""


def _place(draft: Draft, params: dict[str, Value], vendor: Vendor, table: dict[str, Any]) -> None:
    """`base_url` and `api_version`."""
    said = params.get("api_base") or params.get("base_url")
    url = text_of(said)
    if not url and vendor.base:
        url = f"${{{vendor.base}}}"
    if vendor.kind == "azure":
        _azure(draft, params, url, table)
        return
    if not url:
        if vendor.base_url:
            table["base_url"] = vendor.base_url
        return
    assert said is not None or vendor.base, "it was said, or has a variable"
    if said is not None and text_of(params.get("api_version")) and vendor.kind == "openai":
        draft.left(params["api_version"], "only kind azure has dated versions")
    url = _OPERATIONS.sub("", url).rstrip("/")
    if vendor.kind == "anthropic":
        url = url.removesuffix("/v1")
    _check(url, said)
    if vendor.path and not url.startswith("${") and not urlsplit(url).path:
        url += vendor.path
    elif vendor.path and re.fullmatch(r"\$\{\w+\}", url):
        assert said is not None or vendor.base, "as above"
        draft.otherwise(
            said or params["model"], f"the value of {url} must end in {vendor.path} here", once=True
        )
    table["base_url"] = url


def _azure(draft: Draft, params: dict[str, Value], url: str, table: dict[str, Any]) -> None:
    said = params.get("api_base") or params.get("base_url")
    version = text_of(params.get("api_version"))
    url = url.rstrip("/").partition("/openai/")[0].removesuffix("/openai")
    _check(url, said)
    if version in _AZURE_NEW or not version:
        table["base_url"] = f"{url}/openai/v1"
    else:
        table["base_url"], table["api_version"] = f"{url}/openai", version
    host = urlsplit(url).hostname or ""
    if said is not None and not url.startswith("${") and not host.endswith("azure.com"):
        draft.otherwise(said, "is no host of Azure's: check base_url, to which paths are appended")
    if "${" in url and said is not None:
        draft.otherwise(
            said, f"the value of {url} must be without a path and a slash at its end", once=True
        )


def _check(url: str, said: Value | None) -> None:
    """It is a URL, as far as that can be seen. Raises Unreachable."""
    if url.startswith("${"):
        return
    shown = f" (line {said.line})" if said else ""
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise Unreachable(f"api_base{shown} is no URL; expected such as https://host/v1")
    if parts.query or parts.fragment:
        raise Unreachable(f"api_base{shown} has a query, which a base_url cannot have")


def _key(draft: Draft, params: dict[str, Value], vendor: Vendor, table: dict[str, Any]) -> None:
    said = params.get("api_key")
    key = text_of(said)
    if key.lower() in _NO_KEYS:
        return
    if said is not None and key and not key.startswith("${"):
        draft.otherwise(
            said, 'the key stands in the new file as it did here; api_key = "${VARIABLE}" is safer'
        )
    variable = vendor.key
    if not variable and "base_url" not in table:
        variable = next(iter(vendors()[vendor.kind].key_variables), "")
    if key:
        table["api_key"] = key
    elif variable:
        table["api_key"] = f"${{{variable}}}"


def _headers(params: dict[str, Value], table: dict[str, Any]) -> None:
    headers = {
        name: text_of(value)
        for option in ("extra_headers", "headers", "default_headers")
        for name, value in (params[option].entries() if option in params else {}).items()
    }
    if headers:
        table["headers"] = headers


def _patience(draft: Draft, params: dict[str, Value], table: dict[str, Any]) -> None:
    timeout = {}
    for option, ours in (
        ("request_timeout", "total_s"),
        ("timeout", "total_s"),
        ("stream_timeout", "first_token_s"),
    ):
        value = params.get(option)
        number = number_of(value)
        if number is not None:
            timeout[ours] = min(number, TIMEOUT_S_MAX)
        elif value is not None and value.said is not None:
            draft.left(value, "expected a number of seconds; write it into providers.NAME.timeout")
    if timeout:
        table["timeout"] = timeout
    most = number_of(params.get("max_parallel_requests"))
    if isinstance(most, int):
        table["queue"] = {"concurrency_max": most}

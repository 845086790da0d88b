"""The unchanged SDKs before a gateway of this machine.

Rule: it speaks no TLS, so they read no certificates, which takes 27 ms of CPU for each client.
"""

from __future__ import annotations

from typing import Any

import anthropic
import openai

from api import TRUSTS_NOBODY


def openai_at(url: str, key: str, **options: Any) -> openai.AsyncOpenAI:
    """OpenAI's, for the gateway at `url`."""
    web = openai.DefaultAsyncHttpxClient(verify=TRUSTS_NOBODY)
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, http_client=web, **options)


def anthropic_at(url: str, key: str, **options: Any) -> anthropic.AsyncAnthropic:
    """Anthropic's, for the gateway at `url`."""
    web = anthropic.DefaultAsyncHttpxClient(verify=TRUSTS_NOBODY)
    return anthropic.AsyncAnthropic(base_url=url, api_key=key, http_client=web, **options)

"""Small JSON documents of a server that the configuration names: an identity provider's.

Rule: no redirect is followed, no cookie or proxy of the environment is used, and nothing large is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec

from gatemill.core.errors import UpstreamBadReply, UpstreamTimeout, UpstreamUnreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

BYTES_MAX = 256 << 10
TIMEOUT_S = 10.0


async def get(url: str) -> dict[str, Any]:
    """The JSON object there. Raises UpstreamError."""
    return await _ask("GET", url, None)


async def post(url: str, form: Mapping[str, str]) -> dict[str, Any]:
    """The JSON object that answers a form. Raises UpstreamError."""
    return await _ask("POST", url, form)


async def _ask(method: str, url: str, form: Mapping[str, str] | None) -> dict[str, Any]:
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    jar = aiohttp.DummyCookieJar()
    headers = {"accept": "application/json", "accept-encoding": "identity"}
    try:
        # A session of its own: somebody signs in a few times a day.
        async with (
            aiohttp.ClientSession(timeout=timeout, cookie_jar=jar, headers=headers) as session,
            session.request(method, url, data=form, allow_redirects=False) as answer,
        ):
            body = await answer.content.read(BYTES_MAX + 1)
            while len(body) <= BYTES_MAX and not answer.content.at_eof():
                body += await answer.content.read(BYTES_MAX + 1 - len(body))
            status = answer.status
    except TimeoutError as error:
        raise UpstreamTimeout("The server did not answer in time.") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise UpstreamUnreachable("The server cannot be reached.") from error
    if status != 200 or len(body) > BYTES_MAX:
        raise UpstreamBadReply(f"The server answered {status}, {len(body)} bytes.")
    try:
        found: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamBadReply("The server answered something that is no JSON object.") from error
    return found

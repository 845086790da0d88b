"""The root of all failures a caller can see. Rule: its subclasses are one public code each."""

from __future__ import annotations

from typing import ClassVar


class GatemillError(Exception):
    """A failure with a public code.

    Class attributes: `code` (what clients switch on), `status` (HTTP), `type` (OpenAI's error type),
    `anthropic_type` (the same on /v1/messages), `retry` (None leaves the choice to the SDK's rules,
    True or False is sent as `x-should-retry`), `falls_back` (the next target may be tried).
    Instance attributes: `message`, `param` (the field at fault), `retry_after_s` (seconds),
    `headers` (further header lines of the answer, each ending in CRLF).
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    anthropic_type: ClassVar[str] = "api_error"
    retry: ClassVar[bool | None] = None
    falls_back: ClassVar[bool] = False

    def __init__(
        self, message: str, *, param: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        self.headers = b""

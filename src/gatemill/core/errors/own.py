"""Our own state. Rule: a 5xx here says when to come back."""

from __future__ import annotations

from gatemill.core.errors.root import GatemillError


class DeadlineExceeded(GatemillError):
    """The request's own deadline passed."""

    code = "deadline_exceeded"
    status = 504
    type = "server_error"
    anthropic_type = "timeout_error"


class CacheMiss(GatemillError):
    """The caller asked for a kept answer only (`Cache-Control: only-if-cached`), and there is none."""

    code = "cache_miss"
    status = 504
    type = "invalid_request_error"
    anthropic_type = "not_found_error"
    retry = False


class Overloaded(GatemillError):
    """This process, or a model that runs in it, has as many requests as it accepts."""

    code = "overloaded"
    status = 503
    type = "server_error"
    anthropic_type = "overloaded_error"
    falls_back = (
        True  # as the two at the end: of a model here, where a hosted one may answer instead
    )


class Draining(GatemillError):
    """This process is shutting down."""

    code = "draining"
    status = 503
    type = "server_error"
    anthropic_type = "overloaded_error"


class LimitsUnavailable(GatemillError):
    """The shared counters are away, and a hard budget must not be guessed (`stores.when_away`)."""

    code = "limits_unavailable"
    status = 503
    type = "server_error"
    anthropic_type = "overloaded_error"


class GuardUnavailable(GatemillError):
    """A guard cannot answer, and what it has not seen must not pass (`guards.on_failure`)."""

    code = "guard_unavailable"
    status = 503
    type = "server_error"
    anthropic_type = "api_error"


class LedgerUnavailable(GatemillError):
    """The database of keys and usage cannot be opened, read or written."""

    code = "ledger_unavailable"
    status = 503
    type = "server_error"
    anthropic_type = "api_error"


class InternalError(GatemillError):
    """Our own fault. The request id finds the log line."""


class StartRefused(GatemillError):
    """The program does not start like this; the message says how it would."""

    code = "start_refused"


class ExtraNotInstalled(GatemillError):
    """What was asked for needs packages that are not installed here; the message is the command."""

    code = "extra_not_installed"
    status = 501
    type = "server_error"
    anthropic_type = "api_error"
    retry = False
    falls_back = True


class ModelLoadFailed(GatemillError):
    """A model of ours could not be loaded, or did not answer a probe."""

    code = "model_load_failed"
    status = 424
    type = "server_error"
    anthropic_type = "api_error"
    retry = False
    falls_back = True

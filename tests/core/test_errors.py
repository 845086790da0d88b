"""The tree of failures: what every class must say of itself."""

from __future__ import annotations

import re

import pytest

from gatemill.core import errors
from gatemill.core.errors import GatemillError


def classes(root: type[GatemillError] = GatemillError) -> list[type[GatemillError]]:
    return [root, *(found for kind in root.__subclasses__() for found in classes(kind))]


ALL = [kind for kind in classes() if kind.__module__.startswith(errors.__name__)]
LEAVES = [kind for kind in ALL if not kind.__subclasses__()]
OPENAI_TYPES = {
    *("invalid_request_error", "authentication_error", "permission_error", "rate_limit_error"),
    *("server_error", "upstream_error", "insufficient_quota"),
}
# OpenAI has one word for each, and clients switch on it: our own limit, or the provider's.
SHARED = {"rate_limit_exceeded", "insufficient_quota"}
ANTHROPIC_TYPES = {
    *("invalid_request_error", "authentication_error", "permission_error", "not_found_error"),
    *("request_too_large", "rate_limit_error", "api_error", "overloaded_error", "timeout_error"),
}
every_class = pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)


def test_no_two_failures_share_a_code():
    codes = [kind.code for kind in LEAVES if kind.code not in SHARED]
    assert len(codes) > 25
    assert len(codes) == len(set(codes))


@every_class
def test_a_failure_says_what_is_true_and_has_words_that_clients_know(kind):
    assert kind.__doc__
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.code)
    assert 400 <= kind.status < 600
    assert kind.type in OPENAI_TYPES
    assert kind.anthropic_type in ANTHROPIC_TYPES


@every_class
def test_only_failures_of_providers_and_of_models_that_run_here_fall_back(kind):
    here = (errors.ExtraNotInstalled, errors.ModelLoadFailed, errors.Overloaded)
    assert kind.falls_back == issubclass(kind, (errors.UpstreamError, *here))


@every_class
def test_a_caller_is_never_told_to_repeat_its_own_mistake(kind):
    mistake = kind.status in {400, 401, 403, 404, 405, 413, 415, 421, 431}
    assert not mistake or kind.retry is False


def test_401_means_a_bad_key_and_nothing_else():
    assert [kind for kind in ALL if kind.status == 401] == [errors.InvalidApiKey]


@every_class
def test_a_failure_carries_its_message_field_and_wait(kind):
    made = kind("Send less.", param="n", retry_after_s=2.5)
    assert (made.message, made.param, made.retry_after_s, str(made)) == (
        *("Send less.", "n", 2.5),
        "Send less.",
    )
    bare = kind("x")
    assert (bare.param, bare.retry_after_s) == (None, None)

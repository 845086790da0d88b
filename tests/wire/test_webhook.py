"""Standard Webhooks: what we sign, others verify."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import OpenAI
from standardwebhooks import Webhook, WebhookVerificationError

from gatemill.core.errors import InvalidValue
from gatemill.wire import webhook

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(range(1, 33))).decode()
KEY, OTHER_KEY = webhook.key_of(SECRET), webhook.key_of(OTHER)
BODY = b'{"type":"job.succeeded","data":{}}'


def signed(*keys: bytes, body: bytes = BODY) -> dict[str, str]:
    return dict(webhook.headers(keys, "wh_1", time.time(), body))


def test_the_openai_sdk_verifies_our_signature():
    OpenAI(api_key="none").webhooks.verify_signature(BODY, signed(KEY), secret=SECRET)


def test_the_standards_own_library_verifies_our_signature():
    assert Webhook(SECRET).verify(BODY, signed(KEY)) == {"type": "job.succeeded", "data": {}}
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(BODY, signed(KEY))


def test_while_a_secret_is_replaced_both_verify():
    headers = signed(KEY, OTHER_KEY)
    for secret in (SECRET, OTHER):
        Webhook(secret).verify(BODY, headers)
        OpenAI(api_key="none").webhooks.verify_signature(BODY, headers, secret=secret)


def test_a_changed_body_has_another_signature():
    one, other = signed(KEY, body=b"1"), signed(KEY, body=b"2")
    assert one["webhook-signature"] != other["webhook-signature"]


@pytest.mark.parametrize("secret", ["whsec_", "whsec_!!", "whsec_" + "YQ==", "x" * 200])
def test_a_secret_that_is_none_is_refused_with_the_remedy(secret: str):
    with pytest.raises(InvalidValue, match="whsec_"):
        webhook.key_of(secret)


@given(st.binary(min_size=16, max_size=64))
def test_a_secret_holds_its_key(key: bytes):
    assert webhook.key_of(webhook.secret_of(key)) == key


# --- Verifying -----------------------------------------------------------------------------------


@given(st.binary(max_size=200), st.text("abc_0123", min_size=1, max_size=20))
def test_what_the_library_signs_we_verify(body: bytes, message_id: str):
    at = datetime(2026, 11, 21, 12, tzinfo=UTC)
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": "v1,AAAA " + Webhook(SECRET).sign(message_id, at, body.hex()),
    }
    assert webhook.is_signed(KEY, headers, body.hex().encode(), at.timestamp() + 200)
    assert not webhook.is_signed(OTHER_KEY, headers, body.hex().encode(), at.timestamp())


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-signature": ""},
        {"webhook-signature": "v1,ä v1"},
        {"webhook-id": "wh_2"},
        {"webhook-timestamp": "1700000001"},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": "\u0661"},
        {"webhook-timestamp": "9" * 400},
    ],
)
def test_anything_changed_is_not_signed(change):
    headers = dict(webhook.headers((KEY,), "wh_1", 1_700_000_000, BODY))
    assert webhook.is_signed(KEY, headers, BODY, 1_700_000_000)
    assert not webhook.is_signed(KEY, {**headers, **change}, BODY, 1_700_000_000)


def test_an_old_notification_is_a_replay():
    headers = dict(webhook.headers((KEY,), "wh_1", 1_700_000_000, BODY))
    assert webhook.is_signed(KEY, headers, BODY, 1_700_000_000 + webhook.TOLERANCE_S)
    assert not webhook.is_signed(KEY, headers, BODY, 1_700_000_001 + webhook.TOLERANCE_S)
    assert not webhook.is_signed(KEY, headers, BODY, 1_699_999_999 - webhook.TOLERANCE_S)


# --- Events --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patterns", "event", "meant"),
    [
        (["*"], "batch.completed", True),
        (["job.*"], "job.dead", True),
        (["job.*"], "batch.failed", False),
        (["batch.failed", "job.dead"], "job.dead", True),
        (["job.dead"], "job.succeeded", False),
        ([], "job.dead", False),
    ],
)
def test_patterns_say_which_events_are_meant(patterns, event, meant):
    assert webhook.matches(patterns, event) is meant


@pytest.mark.parametrize("pattern", webhook.PATTERNS)
def test_every_pattern_is_taken(pattern):
    webhook.check_patterns([pattern])


@pytest.mark.parametrize(
    ("patterns", "words"),
    [
        (["job.suceeded"], 'Did you mean "job.succeeded"'),
        (["nothing like it"], "Send some of"),
        ([], "Send some of"),
        (["*", ""], "Send some of"),
    ],
)
def test_a_pattern_that_no_event_matches_is_refused(patterns, words):
    with pytest.raises(InvalidValue, match="events") as caught:
        webhook.check_patterns(patterns)
    assert words in caught.value.message
    assert caught.value.param == "events"

"""Standard Webhooks: what we sign, others verify."""

from __future__ import annotations

import base64
import time

import pytest
from openai import OpenAI

from gatemill.core.errors import InvalidValue
from gatemill.wire import webhook

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


def test_the_openai_sdk_verifies_our_signature():
    body = b'{"type":"budget.reached","data":{}}'
    headers = dict(webhook.headers(webhook.key_of(SECRET), "alert_1", time.time(), body))
    OpenAI(api_key="none").webhooks.verify_signature(body, headers, secret=SECRET)


def test_a_changed_body_has_another_signature():
    key = webhook.key_of(SECRET)
    one = dict(webhook.headers(key, "a", 1.0, b"1"))
    other = dict(webhook.headers(key, "a", 1.0, b"2"))
    assert one["webhook-signature"] != other["webhook-signature"]


@pytest.mark.parametrize("secret", ["whsec_", "whsec_!!", "whsec_" + "YQ==", "x" * 200])
def test_a_secret_that_is_none_is_refused_with_the_remedy(secret: str):
    with pytest.raises(InvalidValue, match="whsec_"):
        webhook.key_of(secret)

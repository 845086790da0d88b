"""Cache-Control of requests, directive by directive."""

from __future__ import annotations

import pytest

from gatemill.core.errors import HeaderInvalid
from gatemill.wire.cache_control import ANYTHING, CacheControl, parse


@pytest.mark.parametrize(
    ("header", "meaning"),
    [
        ("", ANYTHING),
        ("no-store", CacheControl(no_store=True)),
        ("No-Cache", CacheControl(no_cache=True)),
        ("max-age=60", CacheControl(max_age_s=60)),
        ('max-age="60"', CacheControl(max_age_s=60)),
        ("Max-Age = 60 , max-age=060", CacheControl(max_age_s=60)),
        ("only-if-cached, max-age=5", CacheControl(only_if_cached=True, max_age_s=5)),
        (" no-store ,, no-cache", CacheControl(no_store=True, no_cache=True)),
        ("no-transform, min-fresh=3, max-stale, colour=red", ANYTHING),
        ("no-storefront", ANYTHING),
    ],
)
def test_a_header_means_what_the_rfc_says(header, meaning):
    assert parse(header) == meaning


@pytest.mark.parametrize(
    "header",
    [
        *("max-age", "max-age=", "max-age=-1", "max-age=1.5", "max-age=1s", "max-age=1, max-age=2"),
        *("max-age=" + "9" * 19, "max-age=\u0661"),
    ],
)
def test_a_max_age_that_is_no_number_of_seconds_is_refused(header):
    with pytest.raises(HeaderInvalid) as refused:
        parse(header)
    assert refused.value.param == "Cache-Control"


@pytest.mark.parametrize(
    ("header", "reads"),
    [
        ("", True),
        ("max-age=1", True),
        ("only-if-cached", True),
        ("max-age=0", False),
        ("no-cache", False),
        ("no-store", False),
    ],
)
def test_a_kept_answer_is_read_unless_the_caller_forbids(header, reads):
    assert parse(header).reads is reads

"""What opens doors is found by its mark; what is merely random is not."""

from __future__ import annotations

import pytest

from gatemill.core.errors import InvalidValue
from gatemill.guards import secrets
from gatemill.guards.scan import Scan
from guards.pii_examples import NOTHING
from guards.secret_examples import SECRETS, plain

SCAN = Scan([("secrets", pattern) for pattern in secrets.patterns(())])


def found(text: str, scan: Scan = SCAN) -> list[tuple[str, str]]:
    data = plain(text).encode()
    return [(one.kind, data[one.start : one.end].decode()) for one in scan.find(data)]


@pytest.mark.parametrize("kind", secrets.KINDS)
def test_every_example_of_a_kind_is_found_with_its_place(kind):
    wrong = []
    for wanted, text, part in SECRETS:
        places = found(text)
        expected = None if part is None else plain(part)
        if wanted == kind and not any(
            one == kind and expected in {None, place} for one, place in places
        ):
            wrong.append((text, places))
    assert wrong == []


def test_nothing_is_found_in_what_only_looks_like_it():
    assert [(text, found(text)) for text in NOTHING if found(text)] == []


def test_only_the_kinds_that_are_asked_for_are_looked_for():
    scan = Scan([("secrets", pattern) for pattern in secrets.patterns(("password",))])
    assert found("https://u:hunter2@h.example sk¦-Ab3dEf6hIj9kLmN0pQrStUv2", scan) == [
        ("password", "hunter2")
    ]


def test_an_unknown_kind_is_refused_with_those_that_are_known():
    with pytest.raises(InvalidValue, match=r"'pin'; it knows provider_key, token,") as refused:
        secrets.patterns(("pin",))
    assert refused.value.param == "kinds"

"""What a refusal becomes on the terminal."""

from __future__ import annotations

import pytest

from gatemill.cli.asking import refused


@pytest.mark.parametrize(
    ("status", "said", "fix"),
    [
        (404, {"detail": "There is no such path. GET /docs lists all."}, "--url of the admin port"),
        (403, {"error": {"message": "This needs the scope jobs."}}, "--scopes"),
        (404, {"error": {"message": "There is no request with this id."}}, ""),
        (500, {}, ""),
    ],
)
def test_a_refusal_says_what_to_do(status, said, fix):
    failure = refused(status, said)
    assert fix in failure.fix
    assert bool(failure.fix) == bool(fix)

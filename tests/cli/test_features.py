"""What `gatemill features`, `recordings` and `replay` refuse before they ask anybody; the guides show the rest."""

from __future__ import annotations

import pytest

SET = ("features", "put", "users", "--entity", "user")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((*SET, "--feature", "tier"), "--feature tier: no type"),
        ((*SET, "--feature", "tier:string", "--ttl", "soon"), "--ttl soon: not a duration"),
        (("features", "write", "user", "u1", "tier"), "tier: not a pair"),
        (("features", "write", "user", "u1"), "no values are named"),
        (("features", "write", "user", "--file", "absent.jsonl"), "cannot read absent.jsonl"),
        (("features", "write", "user", "--file", "broken.jsonl"), "broken.jsonl"),
        (("recordings", "rm"), "nothing is named"),
        (("replay", "--params", "{broken"), "--params is no JSON"),
    ],
)
def test_what_is_wrong_is_said_with_its_fix(words, says, gatemill, tmp_path):
    (tmp_path / "broken.jsonl").write_text('{"key": "u1"}\n{broken\n')
    done = gatemill(*words)
    assert done.code == 2, done
    assert says in done.err

"""What callers hand in is read strictly, and refused with the place at fault."""

from __future__ import annotations

import msgspec
import pytest

from gatemill.core.errors import (
    InvalidArguments,
    InvalidJson,
    InvalidType,
    InvalidValue,
    JsonTooDeep,
    MissingParameter,
    ModelNotFound,
    UnsupportedParameter,
)
from gatemill.jobs.submission import Submission, begins_at, expires_at, placed, read

NOW_S = 1_795_219_200.0


def _read(said):
    return read(said if isinstance(said, bytes) else msgspec.json.encode(said), 64)


def test_one_job_is_read_with_all_its_fields():
    (job,), is_list = _read(
        {
            "kind": "chat.completion",
            "args": {"model": "echo"},
            "priority": "high",
            "run_at": NOW_S,
            "ttl": 60,
            "callback_url": "https://example.com/done",
            "metadata": {"a": "b"},
        }
    )
    assert not is_list
    assert (job.kind, bytes(job.args), job.priority) == (
        "chat.completion",
        b'{"model":"echo"}',
        "high",
    )
    assert (job.run_at, job.ttl, job.metadata) == (NOW_S, 60, {"a": "b"})


def test_what_is_left_out_or_null_has_its_default():
    for body in (
        {"kind": "x"},
        {"kind": "x", "priority": None, "run_at": None, "ttl": None, "metadata": None},
    ):
        ((job,), _) = _read(body)
        assert bytes(job.args) == b"{}"
        assert (job.priority, job.run_at, job.ttl, job.callback_url) == (None, None, None, None)


def test_a_list_keeps_its_order():
    jobs, is_list = _read({"jobs": [{"kind": "a"}, {"kind": "b"}]})
    assert is_list
    assert [job.kind for job in jobs] == ["a", "b"]


@pytest.mark.parametrize(
    ("body", "error", "param"),
    [
        (b"", InvalidJson, None),
        (b"{", InvalidJson, None),
        (b"[]", InvalidType, None),
        ({}, MissingParameter, "kind"),
        ({"kind": ""}, InvalidValue, "kind"),
        ({"kind": 5}, InvalidType, "kind"),
        ({"kind": "x", "prioritty": "high"}, UnsupportedParameter, "prioritty"),
        ({"kind": "x", "priority": "urgent"}, InvalidValue, "priority"),
        ({"kind": "x", "ttl": 0}, InvalidValue, "ttl"),
        ({"kind": "x", "ttl": 4e7}, InvalidValue, "ttl"),
        ({"kind": "x", "ttl": "1h"}, InvalidType, "ttl"),
        ({"kind": "x", "run_at": []}, InvalidType, "run_at"),
        ({"kind": "x", "callback_url": "h" * 2049}, InvalidValue, "callback_url"),
        ({"kind": "x", "metadata": {"a": 1}}, InvalidValue, "metadata"),
        ({"kind": "x", "metadata": {"a": "b" * 513}}, InvalidValue, "metadata"),
        ({"kind": "x", "metadata": {"a" * 65: "b"}}, InvalidValue, "metadata"),
        ({"kind": "x", "metadata": {str(n): "b" for n in range(17)}}, InvalidValue, "metadata"),
        ({"jobs": []}, InvalidValue, "jobs"),
        ({"jobs": [{"kind": "x"}] * 1001}, InvalidValue, "jobs"),
        ({"jobs": [{"kind": "x"}], "kind": "x"}, UnsupportedParameter, "kind"),
        ({"jobs": [{"kind": "x"}, {"kid": "x"}]}, UnsupportedParameter, "jobs.1.kid"),
        ({"jobs": [{"kind": "x"}, {}]}, MissingParameter, "jobs.1.kind"),
        ({"jobs": [{"kind": "x", "ttl": -1}]}, InvalidValue, "jobs.0.ttl"),
        ({"jobs": [5]}, InvalidType, "jobs.0"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_bad_one_is_refused_with_its_place(body, error, param):
    with pytest.raises(error) as caught:
        _read(body)
    assert type(caught.value) is error
    assert caught.value.param == param
    if param:
        assert param.rsplit(".", 1)[-1] in caught.value.message


def test_the_nearest_name_is_told():
    with pytest.raises(UnsupportedParameter, match="Did you mean `priority`"):
        _read({"kind": "x", "prioritty": "high"})


def test_what_nests_too_deeply_is_refused():
    with pytest.raises(JsonTooDeep):
        _read(b'{"kind":"x","args":' + b"[" * 80 + b"]" * 80 + b"}")


@pytest.mark.parametrize(
    ("run_at", "begins"),
    [
        (None, None),
        (NOW_S + 60, NOW_S + 60),
        (NOW_S - 4, None),
        ("2026-11-21T00:01:00Z", NOW_S + 60),
        ("2026-11-21T00:01:00", NOW_S + 60),
        ("2026-11-21T01:01:00+01:00", NOW_S + 60),
    ],
)
def test_a_moment_is_unix_time_or_iso(run_at, begins):
    assert begins_at(Submission(kind="x", run_at=run_at), NOW_S) == begins


@pytest.mark.parametrize(
    "run_at", [NOW_S - 6, NOW_S + 367 * 86_400, 0, -1e300, "soon", "2020-01-01"]
)
def test_a_moment_in_the_past_or_far_away_is_refused(run_at):
    with pytest.raises(InvalidValue) as caught:
        begins_at(Submission(kind="x", run_at=run_at), NOW_S)
    assert caught.value.param == "run_at"


def test_a_job_expires_so_long_after_it_may_begin():
    assert expires_at(Submission(kind="x"), None, NOW_S) is None
    assert expires_at(Submission(kind="x", ttl=60), None, NOW_S) == NOW_S + 60
    assert expires_at(Submission(kind="x", ttl=60), NOW_S + 100, NOW_S) == NOW_S + 160


def test_a_failure_is_placed_further_down():
    error = MissingParameter("`model`: is required. Name one.", param="model")
    found = placed(error, "args", InvalidArguments)
    assert isinstance(found, InvalidArguments)
    assert (found.param, found.message) == ("args.model", "`args.model`: is required. Name one.")
    again = placed(found, "jobs.3")
    assert (again.param, again.message) == (
        "jobs.3.args.model",
        "`jobs.3.args.model`: is required. Name one.",
    )


def test_a_failure_without_a_field_gets_one():
    found = placed(InvalidType("The body must be an object.", param=None), "args")
    assert (found.param, found.message) == ("args", "`args`: The body must be an object.")
    kept = placed(ModelNotFound("No model.", param="model", retry_after_s=3), "")
    assert (kept.param, kept.message, kept.retry_after_s) == ("model", "No model.", 3)

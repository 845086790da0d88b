"""Log lines of the process: JSON with what is bound, for our loggers and those of libraries."""

from __future__ import annotations

import logging
from contextlib import contextmanager

import msgspec
import pytest
import structlog

from gatemill.observe import log
from gateway_parts import Kept

CANARY = "canary-in-a-local-variable"


@pytest.fixture(autouse=True)
def restored():
    """What `configure` changes for the whole process is put back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@contextmanager
def logged(level: str = "info", *, pretty: bool = False):
    kept = Kept()
    log.configure(kept, level=level, pretty=pretty)
    yield kept


def lines(kept: Kept) -> list[dict]:
    return [msgspec.json.decode(line) for line in kept.data.splitlines()]


def test_a_line_is_one_json_object_with_time_level_and_event():
    with logged() as kept:
        structlog.get_logger().warning("provider_down", provider="a", after_s=1.5)
    (line,) = lines(kept)
    assert line.pop("ts") > 1_700_000_000
    assert line == {"event": "provider_down", "level": "warning", "provider": "a", "after_s": 1.5}
    assert kept.data.endswith(b"\n")


def test_the_request_id_that_is_bound_is_in_every_line():
    with logged() as kept, structlog.contextvars.bound_contextvars(request_id="req_1"):
        structlog.get_logger().info("ours")
        logging.getLogger("some.library").warning("theirs")
    assert [line["request_id"] for line in lines(kept)] == ["req_1", "req_1"]


def test_a_line_of_a_library_has_its_loggers_name_and_its_message():
    with logged() as kept:
        logging.getLogger("some.library").error("lost %d of %s", 3, "them")
    (line,) = lines(kept)
    assert (line["event"], line["logger"], line["level"]) == (
        "lost 3 of them",
        "some.library",
        "error",
    )


@pytest.mark.parametrize(
    ("level", "ours", "theirs"),
    [
        ("debug", ["debug", "info", "warning", "error"], ["warning", "error"]),
        ("info", ["info", "warning", "error"], ["warning", "error"]),
        ("warning", ["warning", "error"], ["warning", "error"]),
        ("error", ["error"], ["error"]),
    ],
)
def test_the_level_holds_and_libraries_say_nothing_below_warning(level, ours, theirs):
    with logged(level) as kept:
        for each in ("debug", "info", "warning", "error"):
            getattr(structlog.get_logger(), each)("ours")
            getattr(logging.getLogger("some.library"), each)("theirs")
    seen = lines(kept)
    assert [line["level"] for line in seen if line["event"] == "ours"] == ours
    assert [line["level"] for line in seen if line["event"] == "theirs"] == theirs


SAY = """
def say(level):
    structlog.get_logger().log(level, "said", room=__name__)
"""


def test_a_room_can_have_a_level_of_its_own():
    kept = Kept()
    log.configure(
        kept,
        level="warning",
        pretty=False,
        levels={"gateway": "debug", "jobs": "error", "libraries": "info"},
    )
    for room in ("gatemill.gateway.plan", "gatemill.jobs.worker", "gatemill.ledger", "elsewhere"):
        module = {"__name__": room, "structlog": structlog}
        exec(SAY, module)
        for level in (10, 20, 30, 40):
            module["say"](level)
    logging.getLogger("some.library").info("theirs")
    logging.getLogger("some.library").debug("theirs")
    seen = [(line.get("room"), line["level"]) for line in lines(kept)]
    assert [level for room, level in seen if room == "gatemill.gateway.plan"] == [
        "debug",
        "info",
        "warning",
        "error",
    ]
    assert [level for room, level in seen if room == "gatemill.jobs.worker"] == ["error"]
    assert [level for room, level in seen if room == "gatemill.ledger"] == ["warning", "error"]
    assert [level for room, level in seen if room is None] == ["info"]


def _fail() -> None:
    prompt = CANARY
    raise ValueError(f"a message of {len(prompt)} characters")


@pytest.mark.parametrize("pretty", [False, True])
@pytest.mark.parametrize("library", [False, True])
def test_a_traceback_names_the_fault_and_no_local_variable(pretty, library):
    with logged(pretty=pretty) as kept:
        try:
            _fail()
        except ValueError as fault:
            if library:
                logging.getLogger("some.library").exception("failed")
            else:
                structlog.get_logger().error("failed", exc_info=fault)
    assert b"ValueError" in kept.data
    assert b"_fail" in kept.data
    assert CANARY.encode() not in kept.data


@pytest.mark.parametrize("pretty", [False, True])
@pytest.mark.parametrize("value", ["\udc80", b"\xff", {1: 2}, {("a",): object()}, ValueError("x")])
def test_whatever_is_logged_becomes_a_line(pretty, value):
    with logged(pretty=pretty) as kept:
        structlog.get_logger().info("odd", value=value)
        logging.getLogger("some.library").warning("odd: %s", value)
    assert kept.data.count(b"odd") == 2


def test_people_get_a_line_with_the_clock_in_it():
    with logged(pretty=True) as kept:
        structlog.get_logger().info("started", port=8700)
    assert b"started" in kept.data
    assert b"8700" in kept.data
    assert not kept.data.startswith(b"{")


def test_configuring_again_replaces_the_writer():
    with logged() as first, logged() as second:
        structlog.get_logger().info("x")
        logging.getLogger("some.library").warning("y")
    assert first.data == b""
    assert len(lines(second)) == 2

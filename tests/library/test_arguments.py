"""What a decorator accepts, and what it says of the rest."""

from __future__ import annotations

import functools

import pytest

from gatemill.core.errors import InvalidType, InvalidValue
from gatemill.library import arguments


async def ask(question: str) -> str:
    return question


def test_a_function_is_named_by_its_module_and_its_own_name():
    assert arguments.name_of(ask).endswith("test_arguments.ask")
    assert arguments.name_of(ask, "short") == "short"


def test_a_name_in_another_script_becomes_a_label():
    async def size() -> None:
        pass

    size.__qualname__ = "größe"
    assert arguments.name_of(size).endswith("gr\\xf6\\xdfe")


@pytest.mark.parametrize("name", ["", "a\nb", "ä", "x" * 201])
def test_a_name_that_is_no_label_is_refused(name):
    with pytest.raises(InvalidValue, match="name must be"):
        arguments.name_of(ask, name)


def _plain() -> None:
    pass


async def _pieces():
    yield 1


@pytest.mark.parametrize("function", [_plain, _pieces, functools.partial(print), 7])
def test_only_async_functions_are_decorated(function):
    with pytest.raises(TypeError, match=r"is no `async def` function"):
        arguments.name_of(function)


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_a_duration_is_more_than_nothing(value):
    with pytest.raises(InvalidValue, match="ttl_s must be more than 0 seconds"):
        arguments.seconds(ttl_s=value)


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
def test_a_wait_may_be_nothing_and_not_less(value):
    arguments.seconds_or_none(wait_s=0)
    with pytest.raises(InvalidValue, match="wait_s must be 0 seconds or more"):
        arguments.seconds_or_none(wait_s=value)


@pytest.mark.parametrize("value", ["1", True, None])
def test_a_duration_is_a_number(value):
    with pytest.raises(InvalidType, match="number of seconds"):
        arguments.seconds_or_none(wait_s=value)


def test_what_is_left_out_is_not_checked():
    arguments.seconds(deadline_s=None)
    arguments.counts(concurrency=None)


def test_a_count_is_a_whole_number_above_nothing():
    arguments.counts(failures=1)
    with pytest.raises(InvalidValue, match="failures must be 1 or more"):
        arguments.counts(failures=0)
    for value in (1.0, True, "1"):
        with pytest.raises(InvalidType, match="failures must be a whole number"):
            arguments.counts(failures=value)


def test_only_exceptions_that_do_not_end_the_program_are_named():
    arguments.errors(on=(ValueError, OSError))
    for value in ([ValueError], ValueError, (KeyboardInterrupt,), (1,)):
        with pytest.raises(InvalidType, match="on must be a tuple of Exception classes"):
            arguments.errors(on=value)

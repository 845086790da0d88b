"""Groups of digits, and whether they are a telephone number."""

from __future__ import annotations

import re

import pytest

from gatemill.policy import telephone
from gatemill.policy.telephone import Digits


def written(text: str) -> Digits:
    return Digits(
        tuple(re.findall("[0-9]+", text)), tuple(re.findall("(?<=[0-9])[^0-9]+(?=[0-9])", text))
    )


@pytest.mark.parametrize(
    ("digits", "code"),
    [("14155552671", "1"), ("79161234567", "7"), ("49301234567", "49"), ("35312345678", "353")],
)
def test_a_number_begins_with_its_country(digits, code):
    assert telephone.country_code(digits) == code
    assert telephone.is_international(digits)


@pytest.mark.parametrize(
    "digits",
    ["", "0123456789", "28123456789", "1415555267", "14151552671", "4930123", "491700000000"],
)
def test_no_country_has_numbers_like_these(digits):
    assert not telephone.is_international(digits)


@pytest.mark.parametrize(
    ("text", "is_named", "is_one"),
    [
        ("030/1234567", False, True),
        ("0171 1234567", False, True),
        ("01711234567", False, True),
        ("0301234567", False, False),
        ("0301234567", True, True),
        ("06 12 34 56 78", False, True),
        ("06 12.34 56 78", False, False),
        ("06-12345678", False, True),
        ("06 1234567", False, False),
        ("0123 4567 8901", False, False),
        ("02110-1301", False, False),
        ("078-05-1120", False, False),
        ("0711 1", True, False),
        ("01.02.2024 10", True, False),
        ("0711 12 3 456", False, False),
    ],
)
def test_at_home_a_number_has_an_area_code_and_groups(text, is_named, is_one):
    number = written(text)
    assert telephone.is_national(number, is_named=is_named, is_bracketed=False) is is_one


def test_brackets_show_an_area_code():
    number = written("030) 123456")
    assert telephone.is_national(number, is_named=False, is_bracketed=True)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("555-0123", True),
        ("612 345 678", True),
        ("2026-05-12", False),
        ("12/31/26", False),
        ("21.11.2026", False),
        ("2023-2024", False),
        ("1.200.000", False),
        ("12 345 678", False),
        ("123456", False),
        ("12 34 5678 90", True),
        ("99-99-2024", True),
    ],
)
def test_announced_numbers_are_no_dates_years_or_amounts(text, is_one):
    assert telephone.is_local(written(text)) is is_one

"""Numbers that carry their own proof."""

from __future__ import annotations

import pytest

from gatemill.policy import checksums


@pytest.mark.parametrize(
    "digits", ["4111111111111111", "378282246310005", "30569309025904", "2223003122003222"]
)
def test_a_card_that_an_issuer_gives_out_is_one(digits):
    assert checksums.is_card(digits.encode())


@pytest.mark.parametrize(
    "digits",
    [
        "4111111111111112",  # check digit
        "1763721600000002",  # a time in microseconds
        "2220990000000007",  # one below the range
        "41111111111111",  # a length that nobody uses
        "0000000000000000",
    ],
)
def test_other_numbers_are_no_cards(digits):
    assert not checksums.is_card(digits.encode())


def test_one_changed_digit_breaks_the_sum():
    digits = b"4111111111111111"
    for place in range(len(digits)):
        changed = bytes((digits[place] - 48 + 1) % 10 + 48 for _ in range(1))
        assert not checksums.luhn(digits[:place] + changed + digits[place + 1 :])


def test_an_iban_has_its_countrys_length_and_its_sum():
    assert checksums.is_iban("DE89370400440532013000")
    assert checksums.is_iban("gb29nwbk60161331926819")
    assert not checksums.is_iban("DE89370400440532013001")
    assert not checksums.is_iban("DE8937040044053201300")
    assert not checksums.is_iban("DEAB370400440532013000")
    assert not checksums.is_iban("XX89370400440532013000")
    assert checksums.iban_chars("NO") == 15
    assert checksums.iban_chars("XX") == 0


@pytest.mark.parametrize(
    ("digits", "is_one"),
    [
        ("536228726", True),
        ("000123456", False),
        ("666123456", False),
        ("900123456", False),
        ("123004567", False),
        ("123450000", False),
        ("078051120", False),
    ],
)
def test_a_social_security_number_has_an_area_a_group_and_a_serial(digits, is_one):
    assert checksums.is_ssn(digits) is is_one

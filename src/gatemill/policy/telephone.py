"""Which groups of digits are a telephone number.

Rule: groups and what separates them in, a verdict out. No list of subscribers and no list of area codes:
a number is known by its shape, and where shapes are shared with other numbers, by the words before it,
which the caller has read.
Source: ITU-T E.164 and E.123, the national plans of NANPA, BNetzA, ARCEP and Ofcom (2026-06).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

# Digits of national numbers, by country code, where they are few; others have 7 to 12.
NATIONAL_DIGITS = {
    "1": (10, 10), "7": (10, 10), "27": (9, 9), "30": (10, 10), "31": (9, 9), "32": (8, 9),
    "33": (9, 9), "34": (9, 9), "36": (8, 9), "39": (8, 11), "40": (9, 9), "41": (9, 9),
    "43": (7, 13), "44": (9, 10), "45": (8, 8), "46": (7, 10), "47": (8, 8), "48": (9, 9),
    "49": (7, 12), "52": (10, 11), "55": (10, 11), "60": (8, 10), "61": (9, 9), "65": (8, 8),
    "81": (9, 10), "82": (8, 11), "86": (10, 11), "90": (10, 10), "91": (10, 10), "92": (9, 10),
    "351": (9, 9), "353": (7, 9), "354": (7, 9), "358": (7, 11), "420": (9, 9), "421": (9, 9),
    "852": (8, 8), "971": (8, 9), "972": (8, 9),
}  # fmt: skip
OTHERS_DIGITS = (7, 12)
ONE_DIGIT = ("1", "7")
THREE_DIGITS = frozenset(
    (21, 22, 23, 24, 25, 26, 29, 35, 37, 38, 42, 50, 59, 67, 68, 69, 80, 85, 87, 88, 96, 97, 99)
)
NOBODYS = frozenset((28, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 83, 89))


class Digits(NamedTuple):
    """A number as it is written: groups, and what stands between them (one less)."""

    groups: tuple[str, ...]
    between: tuple[str, ...]

    @property
    def joined(self) -> str:
        """Nothing but digits."""
        return "".join(self.groups)

    @property
    def is_date(self) -> bool:
        """Whether it begins as a date does: 2026-11-21, 21.11.2026, 11/21/2026."""
        sizes = [len(group) for group in self.groups[:3]]
        if sizes == [4, 2, 2]:
            return self.groups[0][:2] in {"19", "20"} and int(self.groups[1]) <= 12
        if len(sizes) == 3 and sizes[2] in {2, 4} and max(sizes[:2]) <= 2:
            is_year = sizes[2] == 2 or self.groups[2][:2] in {"19", "20"}
            few = len(self.groups) == 3 or sizes[2] == 4
            return is_year and few and max(int(group) for group in self.groups[:2]) <= 31
        return False

    @property
    def is_years(self) -> bool:
        """Whether each group is a year."""
        return all(len(group) == 4 and group[:2] in {"19", "20"} for group in self.groups)

    @property
    def is_amount(self) -> bool:
        """Whether points or spaces part thousands."""
        first, *rest = self.groups
        if not rest or len({*self.between}) > 1 or any(len(group) != 3 for group in rest):
            return False
        return len(first) <= (3 if self.between[0] == "." else 2)


def country_code(digits: str) -> str:
    """The country code that these digits begin with; "": there is none such."""
    if digits[:1] in ONE_DIGIT:
        return digits[0]
    two = int(digits[:2] or "0")
    if two < 20 or two in NOBODYS:
        return ""
    return digits[:3] if two in THREE_DIGITS else digits[:2]


def is_international(digits: str) -> bool:
    """Whether a country has numbers like this; the digits begin with its code."""
    code = country_code(digits)
    rest = digits[len(code) :]
    low, high = NATIONAL_DIGITS.get(code, OTHERS_DIGITS)
    if not code or not low <= len(rest) <= high or rest.endswith("00000"):
        return False
    return code != "1" or is_american(rest)


def is_american(digits: str) -> bool:
    """Whether ten digits are a number of the USA, of Canada or of their neighbours."""
    return digits[0] in "23456789" and digits[3] in "23456789" and digits[1:3] != "11"


def is_national(number: Digits, *, is_named: bool, is_bracketed: bool) -> bool:
    """Whether this, which begins with a single 0, is a number as Europeans write it at home.

    `is_named`: words before it say that it is one. `is_bracketed`: so is its area code.
    """
    digits, sizes = number.joined, [len(group) for group in number.groups]
    if number.is_date or not 7 <= len(digits) <= 13:
        return False
    if is_named:
        return True
    if len(sizes) == 1:  # in one piece only mobile numbers of Germany, by their prefix and length
        return digits[:3] in {"015", "016", "017"} and 11 <= len(digits) <= 12
    if is_bracketed or number.between[0].strip() == "/":
        return 2 <= sizes[0] <= 5
    if sizes == [2, 2, 2, 2, 2]:  # France
        return len({*number.between}) == 1
    return _is_parted(len(digits), sizes)


def _is_parted(count: int, sizes: Sequence[int]) -> bool:
    """Area code, then one to three groups; two digits of area only where ten digits are usual."""
    if not 9 <= count <= 12 or len(sizes) > 5 or min(sizes[1:]) < 2:
        return False
    if sizes in ([4, 4, 4], [3, 2, 4], [5, 4]):  # accounts, vouchers; social security; ZIP codes
        return False
    return 3 <= sizes[0] <= 5 or (sizes[0] == 2 and count == 10 and max(sizes) >= 4)


def is_local(number: Digits) -> bool:
    """Whether a number that words announce is one, and not a date, years or an amount."""
    if number.is_date or number.is_years or number.is_amount:
        return False
    return 7 <= len(number.joined) <= 15

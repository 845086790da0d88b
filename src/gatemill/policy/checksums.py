"""Numbers that carry their own proof: payment cards, bank accounts, US social security numbers.

Rule: digits in, a verdict out; what stands around a number is not known here.
Sources: ISO/IEC 7812-1 (Luhn), ISO 13616 and the SWIFT registry of IBANs (2026-06), SSA POMS RM 10201.
"""

from __future__ import annotations

# Prefix ranges of issuers and the lengths they use: (first, last, lengths). Prefixes of up to six digits.
ISSUERS = (
    ("4", "4", (13, 16, 19)),  # Visa
    ("51", "55", (16,)),  # Mastercard
    ("2221", "2720", (16,)),
    ("34", "34", (15,)),  # American Express
    ("37", "37", (15,)),
    ("300", "305", (14, 16)),  # Diners Club
    ("3095", "3095", (14, 16)),
    ("36", "36", (14, 16, 19)),
    ("38", "39", (14, 16)),
    ("6011", "6011", (16, 19)),  # Discover
    ("644", "649", (16, 19)),
    ("65", "65", (16, 19)),
    ("3528", "3589", (16, 19)),  # JCB
    ("62", "62", (16, 17, 18, 19)),  # UnionPay
    ("81", "81", (16,)),
    ("5018", "5018", (13, 15, 16, 18, 19)),  # Maestro
    ("5019", "5019", (16,)),  # Dankort
    ("5020", "5020", (13, 15, 16, 18, 19)),
    ("5038", "5038", (13, 15, 16, 18, 19)),
    ("5612", "5612", (16,)),
    ("5893", "5893", (16,)),
    ("6304", "6304", (16, 18, 19)),
    ("6759", "6759", (16, 18, 19)),
    ("6761", "6763", (16, 18, 19)),
    ("6771", "6771", (16,)),
    ("6799", "6799", (16,)),
    ("2200", "2204", (16, 17, 18, 19)),  # Mir
    ("508", "508", (16,)),  # RuPay
    ("60", "60", (16,)),
    ("82", "82", (16,)),
    ("353", "353", (16,)),
    ("506099", "506198", (16, 19)),  # Verve
    ("9792", "9792", (16,)),  # Troy
)

# Letters and digits of an IBAN, by country.
IBAN_CHARS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22,
    "BI": 27, "BR": 29, "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27,
    "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27,
    "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HN": 28, "HR": 21, "HU": 28,
    "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28,
    "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22,
    "MK": 19, "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23,
    "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24,
    "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "SO": 23, "ST": 25, "SV": 28,
    "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}  # fmt: skip

# Numbers that were printed in advertisements, and so belong to nobody.
SSN_PRINTED = frozenset(("078051120", "219099999", "457555462"))


# Twice, and the digits of that added up.
DOUBLED = bytes.maketrans(b"0123456789", b"0246813579")
BY_DIGIT = {
    digit: tuple(row for row in ISSUERS if row[0][0] <= digit <= row[1][0])
    for digit in "0123456789"
}


def luhn(digits: bytes) -> bool:
    """Whether the last digit is the check digit of the others."""
    total = sum(digits[-1::-2]) + sum(digits[-2::-2].translate(DOUBLED))
    return (total - ord("0") * len(digits)) % 10 == 0


def is_card(digits: bytes) -> bool:
    """Whether an issuer gives out numbers like this one, and its check digit is right."""
    return luhn(digits) and is_issued(digits.decode())


def is_issued(digits: str) -> bool:
    """Whether prefix and length are those of an issuer."""
    for first, last, lengths in BY_DIGIT[digits[0]]:
        if len(digits) in lengths and first <= digits[: len(first)] <= last:
            return True
    return False


def iban_chars(country: str) -> int:
    """Length of an IBAN of this country, in capitals; 0: the country has none."""
    return IBAN_CHARS.get(country, 0)


_VALUES = {ord(char): str(int(char, 36)) for char in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def is_iban(chars: str) -> bool:
    """Whether these letters and digits, without spaces, are an IBAN."""
    capitals = chars.upper()
    if len(capitals) != iban_chars(capitals[:2]) or not capitals[2:4].isdigit():
        return False
    return int((capitals[4:] + capitals[:4]).translate(_VALUES)) % 97 == 1


def is_ssn(digits: str) -> bool:
    """Whether a social security number of the USA can have these nine digits."""
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    if area in {"000", "666"} or area[0] == "9" or group == "00" or serial == "0000":
        return False
    return digits not in SSN_PRINTED

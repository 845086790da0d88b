"""Texts with personal data and secrets, and texts that only look like it: written before the guards, not for them.

Rule: nobody changes a guard because of a text in here, and no text changes because a guard misses it; only a label that is
wrong is put right. Each line of `tests/guards/heldout/*.txt` is `kinds | text`; `-` is a text without. What stands in
braces is made here, with the right check digits; phone numbers are of the ranges kept for films and books.
"""

import base64
import hashlib
import json
import re
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

_TEXTS = Path(__file__).parent / "guards" / "heldout"
LANGUAGES = ("english", "german")
_GAP = {"plain": "", "lower": "", "sp": " ", "dash": "-", "nbsp": "\N{NO-BREAK SPACE}"}


class Text(NamedTuple):
    language: str
    line: int
    text: str
    kinds: frozenset[str]

    def __repr__(self) -> str:
        """Where it stands: a failing test must not show the text to whoever makes the guards."""
        return f"{self.language}:{self.line}"


class Source:
    """Letters and digits without end, the same for the same seed."""

    def __init__(self, seed: str) -> None:
        self._bytes = self._made(seed)

    @staticmethod
    def _made(seed: str) -> Iterator[int]:
        turn = 0
        while True:
            yield from hashlib.sha256(f"{seed}/{turn}".encode()).digest()
            turn += 1

    def of(self, letters: str, count: int) -> str:
        return "".join(letters[next(self._bytes) % len(letters)] for _ in range(count))

    def digits(self, count: int) -> str:
        return self.of(string.digits, count)

    def one_of(self, *words: str) -> str:
        return words[next(self._bytes) % len(words)]

    def between(self, low: int, high: int) -> int:
        return low + (next(self._bytes) * 256 + next(self._bytes)) % (high - low + 1)


ALNUM = string.ascii_letters + string.digits
URL_SAFE = ALNUM + "-_"


def _luhn(digits: str) -> str:
    """`digits` and the one that makes them valid."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return digits + str(-total % 10)


_ISSUERS: dict[str, tuple[int, tuple[str, ...]]] = {
    "visa": (16, ("4",)),
    "mc": (16, ("51", "52", "53", "54", "55")),
    "mc2": (16, ("2221", "2345", "2500", "2699", "2720")),
    "amex": (15, ("34", "37")),
    "discover": (16, ("6011", "65")),
    "diners": (14, ("36",)),
    "jcb": (16, ("3528", "3566", "3589")),
    "union": (16, ("62",)),
}
_GROUPS = {16: (4, 4, 4, 4), 15: (4, 6, 5), 14: (4, 6, 4)}


def _card(source: Source, issuer: str, style: str) -> str:
    wrong = issuer.startswith("bad")
    length, prefixes = _ISSUERS[issuer.removeprefix("bad")]
    prefix = source.one_of(*prefixes)
    number = _luhn(prefix + source.digits(length - 1 - len(prefix)))
    if wrong:
        number = number[:-1] + str((int(number[-1]) + 4) % 10)
    return _grouped(number, _GROUPS[length], _GAP[style or "plain"])


def _grouped(text: str, sizes: tuple[int, ...], gap: str) -> str:
    parts, start = [], 0
    for size in sizes:
        parts.append(text[start : start + size])
        start += size
    return gap.join(parts)


# n digits, a letters, c either, as the registry of IBANs writes them
_BBANS = {
    "DE": "18n", "AT": "16n", "CH": "5n12c", "LI": "5n12c", "FR": "10n11c2n", "GB": "4a14n", "NL": "4a10n", "ES": "20n",
    "IT": "1a10n12c", "PL": "24n", "BE": "12n", "SE": "20n", "NO": "11n", "DK": "14n", "LU": "3n13c", "PT": "21n",
    "FI": "14n", "IE": "4a14n", "CZ": "20n",
}  # fmt: skip
_SIGNS = {"n": string.digits, "a": string.ascii_uppercase, "c": string.digits}


def _iban(source: Source, rest: str, *, wrong: bool = False) -> str:
    country, style = rest.split()
    code = country.upper()
    bban = "".join(
        source.of(_SIGNS[sign], int(size)) for size, sign in re.findall(r"(\d+)(\w)", _BBANS[code])
    )
    number = int("".join(str(int(sign, 36)) for sign in f"{bban}{code}00"))
    check = 98 - number % 97
    if wrong:
        check = (check + 11) % 97
    whole = f"{code}{check:02}{bban}"
    parts = [whole[at : at + 4] for at in range(0, len(whole), 4)]
    found = _GAP[style].join(parts)
    return found.lower() if style == "lower" else found


def _ssn(source: Source, style: str) -> str:
    area = source.between(1, 665)
    return _GAP[style].join(
        (f"{area:03}", f"{source.between(1, 99):02}", f"{source.between(1, 9999):04}")
    )


_UPPER = string.ascii_uppercase + string.digits
# In parts, so that no scanner takes this file for a leak.
_KEYS: dict[str, Callable[[Source], str]] = {
    "openai": lambda s: "sk-" + "proj-" + s.of(URL_SAFE, 74) + "T3Blbk" + "FJ" + s.of(URL_SAFE, 73) + "A",
    "openai_old": lambda s: "sk" + "-" + s.of(ALNUM, 20) + "T3Blbk" + "FJ" + s.of(ALNUM, 20),
    "anthropic": lambda s: "sk-" + "ant-api03-" + s.of(URL_SAFE, 93) + "AA",
    "aws_id": lambda s: "AK" + "IA" + s.of(string.ascii_uppercase + "234567", 16),
    "aws_secret": lambda s: s.of(ALNUM + "+/", 40),
    "github": lambda s: "gh" + "p_" + s.of(ALNUM, 36),
    "github_fine": lambda s: "github" + "_pat_" + s.of(ALNUM, 22) + "_" + s.of(ALNUM, 59),
    "gitlab": lambda s: "gl" + "pat-" + s.of(URL_SAFE, 19) + "x",
    "slack_bot": lambda s: "xo" + "xb-" + s.digits(12) + "-" + s.digits(13) + "-" + s.of(ALNUM, 24),
    "stripe": lambda s: "sk" + "_live_" + s.of(ALNUM, 24),
    "google": lambda s: "AI" + "za" + s.of(URL_SAFE, 34) + "k",
    "hf": lambda s: "h" + "f_" + s.of(string.ascii_letters, 34),
    "sendgrid": lambda s: "S" + "G." + s.of(URL_SAFE, 22) + "." + s.of(URL_SAFE, 42) + "k",
    "npm": lambda s: "np" + "m_" + s.of(ALNUM, 36),
    "pypi": lambda s: "py" + "pi-AgEIcHlwaS5vcmc" + s.of(URL_SAFE, 119) + "A",
    "groq": lambda s: "gs" + "k_" + s.of(ALNUM, 52),
    "xai": lambda s: "xa" + "i-" + s.of(ALNUM, 80),
    "replicate": lambda s: "r" + "8_" + s.of(ALNUM, 37),
    "databricks": lambda s: "da" + "pi" + s.of("0123456789abcdef", 32),
    "vault": lambda s: "hv" + "s." + s.of(URL_SAFE, 95) + "A",
    "docker": lambda s: "dckr" + "_pat_" + s.of(URL_SAFE, 26) + "A",
    "perplexity": lambda s: "pp" + "lx-" + s.of(ALNUM, 48),
}  # fmt: skip


def _encoded(value: object) -> str:
    return (
        base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode())
        .decode()
        .rstrip("=")
    )


def _jwt(source: Source) -> str:
    claims = {"sub": source.digits(8), "name": "Sample", "iat": 1_516_239_022}
    return ".".join(
        (_encoded({"alg": "HS256", "typ": "JWT"}), _encoded(claims), source.of(URL_SAFE, 43))
    )


def _pem(source: Source, label: str, end: str) -> str:
    lines = [source.of(ALNUM + "+/", 64) for _ in range(source.between(6, 26))]
    dashes = "-" * 5
    whole = [
        f"{dashes}BEGIN {label}{dashes}",
        *lines,
        source.of(ALNUM, 22) + "==",
        f"{dashes}END {label}{dashes}",
    ]
    return end.join(whole)


def _hook(source: Source) -> str:
    parts = ("T" + source.of(_UPPER, 10), "B" + source.of(_UPPER, 10), source.of(ALNUM, 24))
    return "https://hooks.slack" + ".com/services/" + "/".join(parts)


_MAKERS: dict[str, Callable[[Source, str], str]] = {
    "iban": _iban,
    "badiban": lambda source, rest: _iban(source, rest, wrong=True),
    "ssn": _ssn,
    "key": lambda source, rest: _KEYS[rest](source),
    "jwt": lambda source, rest: _jwt(source),
    "pem": lambda source, rest: _pem(source, rest, "\n"),
    "pem_json": lambda source, rest: _pem(source, "PRIVATE KEY", "\\n"),
    "slack_hook": lambda source, rest: _hook(source),
    "imei": lambda source, rest: _luhn("35" + source.digits(12)),
}
_PLACE = re.compile(
    r"\{(" + "|".join((*_MAKERS, *_ISSUERS, "badvisa", "badmc")) + r")(?: ([^{}]*))?\}"
)


def _filled(seed: str, text: str) -> str:
    source = Source(seed)

    def made(place: re.Match[str]) -> str:
        name, rest = place[1], place[2] or ""
        maker = _MAKERS.get(name)
        return maker(source, rest) if maker else _card(source, name, rest)

    return _PLACE.sub(made, text.replace("\\n", "\n"))


def texts() -> list[Text]:
    """All of them, in the order of the files."""
    found = []
    for language in LANGUAGES:
        lines = (_TEXTS / f"{language}.txt").read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            label, text = line.split(" | ", 1)
            kinds = frozenset() if label == "-" else frozenset(label.split(","))
            found.append(Text(language, number, _filled(f"{language}:{number}", text), kinds))
    return found

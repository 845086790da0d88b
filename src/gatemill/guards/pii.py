"""Finds what belongs to a person: cards, accounts, numbers, addresses.

Rule: a candidate counts when its checksum, its shape and the words before it say so. A number that could
as well be an order, a date, a version or a measure is let pass.
"""

from __future__ import annotations

import ipaddress
from itertools import islice
from typing import TYPE_CHECKING

from gatemill.core.errors import InvalidValue
from gatemill.core.guard import Pattern
from gatemill.policy import checksums, telephone
from gatemill.policy.expressions import Late, alphabet_of, reason_against

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

NAME = "pii"
KINDS = ("card", "iban", "ssn", "email", "phone", "ip")
THRESHOLD = 1.0

DIGITS = b"0123456789"
LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SPACED = bytes(byte if byte in DIGITS else 0x20 for byte in range(256))
NO_DIGITS = bytes(set(range(256)) - set(DIGITS))
NO_NAMES = bytes(set(range(256)) - set(DIGITS + LETTERS))
SPACES = (
    b"\t\xc2\xa0\xe2\x80\xaf\x91\x90\x93"  # a tab; no-break spaces, hyphens and the dash, as bytes
)
# Latin, Greek, Cyrillic and their neighbours: characters of two bytes.
WIDE = bytes(range(0x80, 0xE0))

GAP = r"(?:[ .\t\-]|\x{A0}|\x{202F}|\x{2010}|\x{2011}|\x{2013})"
SLOT = r"(?:[ ().\-/]|\x{A0}|\x{202F}|\x{2010}|\x{2011}|\x{2013})"
DASH = r"(?:-|\x{2010}|\x{2011}|\x{2013})"
# What may stand between two digits in JSON: a gap, as it is, or as \u00a0, \u202f, \u2010 and the like.
RAW_GAP = r"[ ().\-/\t\\tuafAF\x{80}-\x{10FFFF}]{0,6}"

CARD = (
    rf"(?:[0-9]{{13,19}}|[0-9]{{4}}{GAP}{{1,3}}[0-9]{{4}}{GAP}{{1,3}}[0-9]{{4}}{GAP}{{1,3}}"
    rf"[0-9]{{1,4}}(?:{GAP}{{1,3}}[0-9]{{1,3}})?|[0-9]{{4}}{GAP}{{1,3}}[0-9]{{6}}{GAP}{{1,3}}[0-9]{{4,5}}"
    rf"|[0-9]{{8}}{GAP}[0-9]{{8}}|[0-9]{{6}}{GAP}[0-9]{{10,13}})\b"
)
CARD_NAMED = rf"\b[0-9]{{1,8}}(?:{GAP}{{1,3}}[0-9]{{1,8}}){{1,8}}\b"
CARD_HINT = rf"[0-9](?:{RAW_GAP}[0-9]){{12}}"
IBAN = rf"\b[A-Z]{{2}}[0-9]{{2}}(?:{GAP}?[A-Z0-9]){{11,32}}"
IBAN_JOINED = r"\b[A-Za-z]{2}[0-9]{2}[A-Za-z0-9]{11,32}\b"
IBAN_SMALL = r"[0-9]{2}(?: [0-9]{4}){2,7}(?: [0-9]{1,4})?\b"
IBAN_HINT = (  # small letters with gaps: only as IBAN_SMALL has them, or "word07 word08" would be one
    rf"[A-Z]{{2}}[0-9]{{2}}(?:{RAW_GAP}[A-Z0-9]){{11}}|[A-Za-z]{{2}}[0-9]{{2}}[A-Za-z0-9]{{11}}"
    r"|[a-z]{2}[0-9]{2}(?: [0-9]{4}){2}"
)
SSN = (
    rf"\b[0-9]{{3}}(?:{DASH}[0-9]{{2}}{DASH}[0-9]{{4}}"
    r"|[ .][0-9]{2}[ .][0-9]{4}(?: [0-9]+)?|[0-9]{6})\b"
)
NINE_HINT = rf"[0-9](?:{RAW_GAP}[0-9]){{8}}"
LETTER = r"[A-Za-z0-9\x{C0}-\x{7FF}]"
EMAIL = (
    r"[A-Za-z0-9._%+'&\-\x{C0}-\x{7FF}]+"
    rf"@(?:{LETTER}+(?:-+{LETTER}+)*\.)+[A-Za-z\x{{C0}}-\x{{7FF}}][A-Za-z0-9\-\x{{C0}}-\x{{7FF}}]+"
)
IP4 = r"\b[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(?:\.[0-9]+)*\b"
IP6 = r"\b[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]*[0-9A-Fa-f:]"
PHONE_WORLD = rf"(?:\+|\b00)[1-9](?:{SLOT}{{0,3}}[0-9]){{6,15}}"
PHONE_US = (
    r"(?:\b1[ .\-]?)?(?:\([2-9][0-9]{2}\)[ \-]?|\b[2-9][0-9]{2}[ .\-/])"
    r"[2-9][0-9]{2}[ .\-][0-9]{4}\b"
)
PHONE_HOME = rf"(?:\(|\b)0[1-9](?:{SLOT}{{0,3}}[0-9]){{5,14}}"
PHONE_NAMED = rf"(?:\(|\b)[1-9](?:{SLOT}{{0,3}}[0-9]){{6,14}}"
PHONE_HINT = rf"[0-9](?:{RAW_GAP}[0-9]){{6}}"

GROUPS = Late("[0-9]+")
# The last of these words before a number says what it is; digits between them and it take that back.
PHONE_WORDS = (
    r"tele?fon[a-zäöüß]*|telephones?|phone|tel|mobil[a-zäöüß]*|mobile|handy[a-zäöüß]*|cell|cellphone|calls?|called"
    r"|calling|dial|fax|faxen|telefax|whatsapp|sms|text|signal|rufnummer|rufen|ruft|ruf|anruf[a-zäöüß]*|anzurufen"
    r"|hotline|durchwahl|erreich[a-zäöüß]*|festnetz[a-zäöüß]*|reach|ring|voicemail|landline|contact|kontakt[a-zäöüß]*"
)
OTHER_WORDS = (
    r"orders?|invoice|ticket|isbn|issn|sku|ean|gtin|upc|imei|iccid|items?|parts?|serial|articles?|case|ref"
    r"|reference|id|uuid|bestell[a-zäöüß]*|rechnung[a-zäöüß]*|auftrag[a-zäöüß]*|artikel[a-zäöüß]*|kunden[a-zäöüß]*|vorgang[a-zäöüß]*"
    r"|akten[a-zäöüß]*|sendung[a-zäöüß]*|seriennummer|teilenummer|tracking|version|model|account|konto[a-zäöüß]*|blz|policy"
    r"|patent|build|customer|batch|charge|lot|timestamp|price|preis|eur|usd|euro|doi|vin|zip|plz|row|line"
)
WORDS = Late(rf"(?i)\b(?:(?:{PHONE_WORDS})|(?:{OTHER_WORDS}))(?:\b|_)")
NAMING = Late(rf"(?i)^(?:{PHONE_WORDS})_?$")
CARD_WORDS = Late(
    r"(?i)cards?\b|karte|visa|kredit|credit|debit|\bcc\b|master|amex|american|\bpan\b|maestro"
)
SSN_WORDS = Late(r"(?i)\bssn\b|social.{0,3}security|\bss#|sozialversicherung|taxpayer")
IP_WORDS = Late(
    r"(?i)\b(?:ip|ips|ipv4|addr[a-zäöüß]*|adress[a-zäöüß]*|hosts?|servers?|dns|ping|client|from|von)\b"
)
VERSION_WORDS = Late(
    r"(?i)(?:version|firmware|build|release|driver|treiber|\bver\.?|\bv\.?|section|chapter|abschnitt"
    r"|kapitel|clause|ziffer|punkt|rev|revision|update|auf|§+|==|>=|<=|~=|\boid)[ :=]*$"
)
USER_OF = Late(r"://[^/?#@ ]*$")  # what follows is in the first part of an address
RESOLVERS = frozenset((b"1.1.1.1", b"1.0.0.1", b"8.8.8.8", b"8.8.4.4", b"9.9.9.9"))
# Endings of files and of code that look like the end of a host's name.
NO_ENDINGS = frozenset(
    b"png jpg jpeg gif svg webp ico avif css js mjs cjs ts tsx jsx json html htm php yaml yml lock toml"
    b" xml txt log csv sum mean reshape transpose dot conj astype copy shape class".split()
)
NO_LOCALS = frozenset((b"git", b"hg", b"svn"))


def patterns(kinds: Sequence[str], own: Mapping[str, str], own_bytes_max: int) -> list[Pattern]:
    """What is looked for: these kinds, or all of them; `own` adds kinds, by name.

    Raises InvalidValue for a kind that nobody knows and for an expression that cannot be used.
    """
    for name, source in own.items():
        _check(name, source)
    known = (*KINDS, *own)
    for kind in kinds:
        if kind not in known:
            raise InvalidValue(
                f"`kinds`: `{NAME}` does not know {kind!r}; it knows {', '.join(known)}.",
                param="kinds",
            )
    found = [*BUILT_IN, *(_own(name, source, own_bytes_max) for name, source in own.items())]
    return [pattern for pattern in found if not kinds or pattern.kind in kinds]


def _check(name: str, source: str) -> None:
    reason = reason_against(source)
    if name in KINDS:
        reason = "the name is one of the kinds that are built in"
    elif not (name[:1].isalpha() and name.isascii() and name.replace("_", "").isalnum()):
        reason = "a name begins with a letter and has letters, digits and _: it stands in labels"
    if reason:
        raise InvalidValue(f"`guards.patterns.{name}`: {reason}.", param=f"guards.patterns.{name}")


def _own(name: str, source: str, bytes_max: int) -> Pattern:
    def fits(before: bytes, candidate: bytes, after: bytes) -> tuple[int, int] | None:
        return (0, len(candidate)) if 0 < len(candidate) <= bytes_max else None

    # Without an escape, JSON holds a text as it is; but where it begins and ends, quotes stand.
    is_tied = any(sign in source.replace("[^", "") for sign in ("^", "$", r"\A", r"\z"))
    hint = "" if is_tied else rf"(?:{source})|\\"
    return Pattern(
        name, source, alphabet_of(source), hint, accept=fits, bytes_max=max(bytes_max, 256)
    )


def _digits(candidate: bytes) -> str:
    return candidate.translate(None, NO_DIGITS).decode()


def _read(candidate: bytes) -> tuple[telephone.Digits, list[int]]:
    """The groups of a candidate, and where each ends."""
    groups = candidate.translate(SPACED).split()
    between, ends, at = [], [], 0
    for group in groups:
        start = candidate.index(group, at)
        between.append(candidate[at:start].decode())
        at = start + len(group)
        ends.append(at)
    return telephone.Digits(tuple(map(bytes.decode, groups)), tuple(between[1:])), ends


def _names(before: bytes) -> int:
    """What the last telling word before a number says: 1, it is a phone's; -1, it is another; 0, nothing."""
    words = [*WORDS.finditer(before)]
    if not words:
        return 0
    start, end = words[-1]
    if GROUPS.search(before, end) is not None:
        return 0
    return 1 if NAMING.search(before[start:end]) else -1


def _is_fraction(before: bytes) -> bool:
    """Whether what follows are the decimals of a number: 3.14, 0,5; but 7,5 may be two columns."""
    if before[-1:] == b",":
        return before[-2:-1] == b"0" and not before[-3:-2].isdigit()
    return before[-1:] == b"." and before[-2:-1].isdigit()


def _is_inside(before: bytes) -> bool:
    """Whether digits stand right before, but for a gap."""
    return before[-1:] in {b" ", b"-", b"/", b"."} and before[-2:-1].isdigit()


def _card(before: bytes, candidate: bytes, after: bytes) -> tuple[int, int] | None:
    groups = candidate.translate(SPACED).split()
    is_part = before[-1:].isalnum() or (before[-1:] == b"-" and before[-2:-1].isdigit())
    if _is_fraction(before) or after == b"-" or (is_part and len(groups) == 1):
        return None
    for count in range(0 if is_part else len(groups), max(0, len(groups) - 2), -1):
        digits = b"".join(groups[:count])
        if checksums.luhn(digits) and _is_card(digits, before):
            return 0, _read(candidate)[1][count - 1]
    return None if len(groups) == 1 else (len(groups[0]), len(groups[0]))


def _is_card(digits: bytes, before: bytes) -> bool:
    """Whether somebody issues such numbers; or words before it say that it is one, as short ones need."""
    is_usual = len(digits) > 13 and checksums.is_issued(digits.decode())
    return is_usual or (13 <= len(digits) <= 19 and CARD_WORDS.search(before) is not None)


def _card_named(before: bytes, candidate: bytes, after: bytes) -> tuple[int, int] | None:
    """Grouped as nobody prints it, but called a card."""
    digits = _digits(candidate)
    is_known = after != b"-" and checksums.luhn(digits.encode()) and CARD_WORDS.search(before)
    return (0, len(candidate)) if is_known and _is_card(digits.encode(), before) else None


def _iban(before: bytes, candidate: bytes, after: bytes) -> tuple[int, int] | None:
    count = checksums.iban_chars(candidate[:2].decode().upper())
    if not count:
        return 4, 4
    if checksums.is_iban(candidate.translate(None, NO_NAMES)[:count].decode()):
        named = (place for place, byte in enumerate(candidate) if byte not in NO_NAMES)
        end = next(islice(named, count - 1, None)) + 1
        if not (candidate[end : end + 1] or after).isalnum():
            return 0, end
    return 4, 4


def _iban_small(before: bytes, candidate: bytes, after: bytes) -> tuple[int, int] | None:
    """Small letters and spaces: the country stays, which tells nothing of its own."""
    country = before[-2:]
    if not country.islower() or before[-3:-2].isalnum():
        return None
    chars = (country + candidate.replace(b" ", b"")).decode()
    return (0, len(candidate)) if country.isalpha() and checksums.is_iban(chars) else None


def _ssn(before: bytes, candidate: bytes, after: bytes) -> tuple[int, int] | None:
    digits = _digits(candidate)
    if before[-1:] in {b"-", b".", b"+"} or after == b"-" or not checksums.is_ssn(digits[:9]):
        return None
    if candidate[3:4].isdigit() or candidate[3:4] in {b" ", b"."}:
        is_alone = digits[0] != "0" and len(digits) == 9 and not before[-2:-1].isdigit()
        is_spaced = candidate[3:4] == candidate[6:7] == b" "
        if not SSN_WORDS.search(before) and not (is_spaced and is_alone and _names(before) == 0):
            return None
    return 0, len(candidate) if len(digits) == 9 else 11


def _email(before: bytes, candidate: bytes, after: bytes) -> tuple[int, int] | None:
    end = len(candidate.rstrip(b"-"))
    local, _, host = candidate[:end].partition(b"@")
    start = max(len(local) - 64, len(local) - len(local.lstrip(b".'&%+-")))
    local = local[start:]
    ending = host.rpartition(b".")[2].lower()
    if not local or local.endswith(b".") or b".." in local or len(host) > 253:
        return None
    if before.endswith(b"@") or after == b"(" or ending in NO_ENDINGS or USER_OF.search(before):
        return None
    if after == b":" and local.lower() in NO_LOCALS:  # git@host:path
        return None
    return start, end


def _ip4(before: bytes, candidate: bytes, after: bytes) -> tuple[int, int] | None:
    parts = candidate.split(b".")
    if len(parts) != 4 or any(int(part) > 255 or part != b"%d" % int(part) for part in parts):
        return None
    if before[-1:] in {b".", b"-", b"+", b"_"} or after in {b"-", b"+", b"_"}:
        return None
    if VERSION_WORDS.search(before) or not _is_public(candidate.decode()):
        return None
    is_small = max(map(int, parts)) < 32 and candidate not in RESOLVERS  # a section, a version
    if is_small and not IP_WORDS.search(before):
        return None
    return 0, len(candidate)


def _ip6(before: bytes, candidate: bytes, after: bytes) -> tuple[int, int] | None:
    whole = candidate.rstrip(b":") if not candidate.endswith(b"::") else candidate
    if before[-1:] == b":" or after.isalnum() or candidate.count(b":") < 2:
        return None
    try:
        ipaddress.IPv6Address(whole.decode())
    except ValueError:
        return None
    return 0, len(whole)


def _is_public(address: str) -> bool:
    """Whether it can point to somebody: not of a private network, of this machine or of many."""
    own = ipaddress.IPv4Address(address)
    nets = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "0.0.0.0/8")
    if any(own in ipaddress.IPv4Network(net) for net in nets):
        return False
    return not (own.is_loopback or own.is_link_local or int(own) >= 224 << 24)


def _phone_world(before: bytes, candidate: bytes, after: bytes) -> tuple[int, int] | None:
    number, ends = _read(candidate)
    groups = list(number.groups)
    if before[-1:].isalnum() or before[-1:] == b"+" or _is_fraction(before):
        return None
    if candidate[:1] == b"+":
        if len(groups) == 2 and number.between[0] == "." and len(number.joined) <= 9:
            return None  # +52.5200066, a place on the map
    elif _is_homely(before, groups):
        groups[0] = groups[0][2:]
    else:
        return None
    for count in _counts(number, after):
        kept = groups[:count]
        if count > 1 and kept[1] == "0" and "(" in number.between[0]:  # +49 (0) 30
            kept[1] = ""
        if telephone.is_international("".join(kept)):
            return 0, ends[count - 1]
    return None


def _is_homely(before: bytes, groups: list[str]) -> bool:
    """Whether 00, and not +, may begin a number here: words say so, or it is parted, or of near by."""
    naming = _names(before)
    if naming != 0:
        return naming > 0
    return not _is_inside(before) and (len(groups) > 1 or groups[0][2:4] in {"41", "43", "49"})


def _counts(number: telephone.Digits, after: bytes) -> Iterable[int]:
    """How many of the groups may be the number: all of them first; not the one that was cut."""
    return range(len(number.groups) - after.isdigit(), 0, -1)


def _phone_us(before: bytes, candidate: bytes, after: bytes) -> tuple[int, int] | None:
    naming = _names(before)
    if before[-1:] in {b"-", b".", b"/", b"+"} or after == b"-" or naming < 0:
        return None
    is_even = b"(" in candidate or len({*_read(candidate)[0].between}) == 1
    if naming == 0 and (not is_even or (_is_inside(before) and b"(" not in candidate)):
        return None
    return (0, len(candidate)) if telephone.is_american(_digits(candidate)[-10:]) else None


def _phone_home(before: bytes, candidate: bytes, after: bytes) -> tuple[int, int] | None:
    number, ends = _read(candidate)
    naming = _names(before)
    if before[-1:] in {b"-", b"/", b"+"} or _is_fraction(before) or after.isalpha() or naming < 0:
        return None
    if naming == 0 and _is_inside(before):
        return None
    is_bracketed = candidate[:1] == b"(" and ")" in "".join(number.between[:1])
    for count in _counts(number, after):
        behind = "".join(number.groups[count : count + 1])
        is_end = not behind or (behind[0] == "0" and len(behind) > 2)
        first = telephone.Digits(number.groups[:count], number.between[: count - 1])
        if (is_end or naming > 0) and telephone.is_national(
            first, is_named=naming > 0, is_bracketed=is_bracketed
        ):
            return 0, ends[count - 1]
    return None


def _phone_named(before: bytes, candidate: bytes, after: bytes) -> tuple[int, int] | None:
    if before[-1:] in {b"-", b"/", b"+"} or after.isalpha() or _names(before) <= 0:
        return None
    number, ends = _read(candidate)
    for count in _counts(number, after):
        first = telephone.Digits(number.groups[:count], number.between[: count - 1])
        if telephone.is_local(first):
            return 0, ends[count - 1]
    return None


PHONE_BYTES = DIGITS + b" ().-/+" + SPACES
BUILT_IN = (
    Pattern("card", CARD, DIGITS + b" .-" + SPACES, CARD_HINT, accept=_card),
    Pattern("card", CARD_NAMED, DIGITS + b" .-" + SPACES, CARD_HINT, accept=_card_named),
    Pattern("iban", IBAN, DIGITS + LETTERS[:26] + b" .-" + SPACES, IBAN_HINT, accept=_iban),
    Pattern("iban", IBAN_JOINED, DIGITS + LETTERS, IBAN_HINT, accept=_iban),
    Pattern("iban", IBAN_SMALL, DIGITS + b" ", IBAN_HINT, accept=_iban_small),
    Pattern("ssn", SSN, DIGITS + b" .-" + SPACES, NINE_HINT, accept=_ssn),
    Pattern("email", EMAIL, DIGITS + LETTERS + b"._%+'&-@" + WIDE, '[^" ]@[^" ]', accept=_email),
    Pattern("ip", IP4, DIGITS + b".", r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]", accept=_ip4),
    Pattern("ip", IP6, DIGITS + b"ABCDEFabcdef:", r"[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]", accept=_ip6),
    Pattern("phone", PHONE_WORLD, PHONE_BYTES, PHONE_HINT, accept=_phone_world),
    Pattern("phone", PHONE_US, PHONE_BYTES, PHONE_HINT, accept=_phone_us),
    Pattern("phone", PHONE_HOME, PHONE_BYTES, PHONE_HINT, accept=_phone_home),
    Pattern("phone", PHONE_NAMED, PHONE_BYTES, PHONE_HINT, accept=_phone_named),
)

"""Finds what opens doors: keys of providers, tokens, private keys, passwords in addresses.

Rule: a secret is known by a mark that its issuer has given it, or by the words before it. Randomness alone
is no sign: a hash, a UUID and a picture look the same.
Sources: the issuers' own pages and GitHub's list of supported secrets (2026-06).
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING

from gatemill.core.errors import InvalidValue
from gatemill.core.guard import Pattern
from gatemill.policy.expressions import Late

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "secrets"
KINDS = ("provider_key", "token", "private_key", "password")
THRESHOLD = 1.0

DIGITS = b"0123456789"
LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
NAMES = DIGITS + LETTERS + b"_-"
WORD = "[A-Za-z0-9_-]"
# Keys made of letters, digits, "_" and "-": issuer's mark, then the secret part.
MARKED = (
    rf"sk-(?:proj|svcacct|admin|None|or-v1|ant-[a-z0-9]+)-{WORD}{{20,}}",  # OpenAI, OpenRouter, Anthropic
    rf"sk-{WORD}{{20,}}",  # OpenAI, DeepSeek, Langfuse and many others
    rf"gm-[a-z0-9]{{4,32}}-{WORD}{{43}}",  # ours
    r"gsk_[A-Za-z0-9]{40,}",  # Groq
    r"xai-[A-Za-z0-9]{40,}",
    r"pplx-[A-Za-z0-9]{40,}",  # Perplexity
    r"r8_[A-Za-z0-9]{37,}",  # Replicate
    rf"nvapi-{WORD}{{40,}}",  # NVIDIA
    rf"tgp_v1_{WORD}{{30,}}",  # Together
    r"hf_[A-Za-z0-9]{30,}",  # Hugging Face
    r"api_org_[A-Za-z0-9]{30,}",
    rf"AIza{WORD}{{35}}",  # Google
    rf"GOCSPX-{WORD}{{28}}",
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}",  # AWS
    r"gh[pousr]_[A-Za-z0-9]{36,}",  # GitHub
    r"github_pat_[A-Za-z0-9_]{22,}",
    rf"gl(?:pat|ptt|dt|rt|cbt|ft|imt|soat|agent)-{WORD}{{20,}}",  # GitLab
    r"xox[abeoprs]-[A-Za-z0-9-]{10,}",  # Slack
    r"xapp-[0-9]-[A-Za-z0-9-]{20,}",
    r"(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}",  # Stripe
    r"whsec_[A-Za-z0-9]{24,}",
    r"SK[0-9a-f]{32}",  # Twilio
    r"npm_[A-Za-z0-9]{36}",
    rf"pypi-AgE{WORD}{{50,}}",
    r"do[opr]_v1_[0-9a-f]{64}",  # DigitalOcean
    r"shp(?:at|ca|pa|ss)_[0-9A-Fa-f]{32}",  # Shopify
    r"dapi[0-9a-f]{32}",  # Databricks
    r"lin_api_[A-Za-z0-9]{32,}",  # Linear
    r"(?:ntn|secret)_[A-Za-z0-9]{43,}",  # Notion
    rf"figd_{WORD}{{36,}}",  # Figma
    rf"sq0[a-z]{{3}}-{WORD}{{22,}}",  # Square
    r"key-[0-9a-f]{32}",  # Mailgun
    r"[0-9a-f]{32}-us[0-9]{1,2}",  # Mailchimp
    r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}",  # Postman
    r"AGE-SECRET-KEY-1[A-Z0-9]{58}",
    r"[a-z0-9]{4,14}_(?:live|prod)_sk_[A-Za-z0-9]{16,}",
    r"rzp_(?:live|test)_[A-Za-z0-9]{14,}",  # Razorpay
    rf"dckr_pat_{WORD}{{20,}}",  # Docker
    r"gls[ac]_[A-Za-z0-9_]{30,}",  # Grafana
    r"NRA[KAIL]-[A-Z0-9]{27}",  # New Relic
    rf"sntry[su]_{WORD}{{40,}}",  # Sentry
    r"ph[cx]_[A-Za-z0-9]{40,}",  # PostHog
    rf"ATATT3x{WORD}{{60,}}",  # Atlassian
    r"xkeysib-[0-9a-f]{64}-[A-Za-z0-9]{16}",  # Brevo
    r"re_[A-Za-z0-9]{8}_[A-Za-z0-9]{20,}",  # Resend
    r"sbp_[0-9a-f]{40}",  # Supabase
    r"nfp_[A-Za-z0-9]{36,}",  # Netlify
    r"AKCp[A-Za-z0-9]{60,}",  # Artifactory
    r"EAA[A-Za-z0-9]{60,}",  # Meta, Square
    r"tskey-[a-z]+-[A-Za-z0-9-]{20,}",  # Tailscale
    rf"fw_{WORD}{{22,}}",  # Fireworks
    rf"dsk-{WORD}{{20,}}",
    rf"sess-{WORD}{{30,}}",
    rf"csk-{WORD}{{30,}}",  # Cerebras
    rf"jina_{WORD}{{40,}}",
    rf"pa-{WORD}{{40,}}",  # Voyage
    rf"(?:pcsk|pc)_{WORD}{{30,}}",  # Pinecone
    rf"tvly-{WORD}{{20,}}",  # Tavily
    r"pul-[0-9a-f]{40}",  # Pulumi
)
# The same with dots or a colon.
DOTTED = (
    rf"SG\.{WORD}{{16,}}\.{WORD}{{16,}}",  # SendGrid
    rf"hv[sbr]\.{WORD}{{24,}}",  # Vault
    rf"ya29\.{WORD}{{20,}}",  # Google OAuth
    rf"[MNO]{WORD}{{23,27}}\.{WORD}{{6}}\.{WORD}{{27,}}",  # Discord
    rf"[0-9]{{6,10}}:{WORD}{{34,36}}",  # Telegram
    r"pat[A-Za-z0-9]{14}\.[0-9a-f]{64}",  # Airtable
    rf"AAAA[A-Za-z0-9_-]{{7}}:APA91b{WORD}{{60,}}",  # Firebase
)
# What every one of them holds; with less to remember than the keys themselves, a body is read faster.
MARKED_HINT = (
    r"sk-[a-zA-Z0-9]|gm-[a-z0-9]|gsk_|xai-|pplx-|r8_|nvapi-|tgp_v1|hf_|api_org|AIza|GOCSPX|AKIA|ASIA|ABIA"
    r"|ACCA|gh[pousr]_|_pat_|gl[a-z]{2,5}-|xox[a-z]-|xapp-|(?:live|test|prod)_|whsec|SK[0-9a-f]{4}|npm_"
    r"|pypi-|do[opr]_v1|shp[a-z]{2}_|dapi|lin_api|ntn_|secret_|figd_|sq0[a-z]|key-[0-9a-f]{4}"
    r"|[0-9a-f]-us[0-9]|PMAK|AGE-SEC|rzp_|ckr_pat|gls[ac]_|NRA[KAIL]|sntry|ph[cx]_|ATATT|xkeysib|re_[A-Za-z0-9]"
    r"|sbp_|nfp_|AKCp|EAA[A-Za-z0-9]|tskey|fw_|dsk-|sess-|csk-|jina_|pa-[A-Za-z0-9]|pc(?:sk)?_|tvly-|pul-"
)
DOTTED_HINT = rf"SG\.|hv[sbr]\.|ya29|\.{WORD}{{6}}\.|[0-9]:{WORD}{{20}}|:APA|pat[A-Za-z0-9]{{14}}"
JWT = rf"\beyJ{WORD}{{5,}}\.{WORD}{{2,}}\.{WORD}*"
BEARER = r"[A-Za-z0-9._~+/\-]{12,}={0,3}"
BASIC = r"[A-Za-z0-9+/\-_]{6,}={0,2}"
VALUE = r"[A-Za-z0-9/+_.~\-]{16,128}={0,2}"
CHOSEN = r"[!#$%()*+\-./0-9?@A-Z^_a-z{|}~]{6,64}"
CHOSEN_BYTES = DIGITS + LETTERS + b"!#$%()*+-./?@^_{|}~"
TOKEN_BYTES = NAMES + b".~+/="
URL = r"\b[A-Za-z][A-Za-z0-9+.\-]*://[^\s/:@\"'<>?#`\x00-\x20\x7f-\x{10FFFF}]*:[^\s/@\"'<>`\x00-\x20\x7f-\x{10FFFF}]+@"
URL_BYTES = bytes(byte for byte in range(0x21, 0x7F) if byte not in b"\"'<>`")
PEM = r"-{4,5} ?BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)? ?-{4,5}"
PEM_END = r"-{4,5} ?END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?(?:-----| ----)"
PEM_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789- "

IS_BEARER = Late(r"(?i)\bbearer(?: token)?[ :=]+[\"']?$")
IS_HEADER = Late(r"(?i)authorization[\"']?[ :=]+[\"']?bearer")
PLACE = Late(r"(?i)your|token|here|example_|placeholder|xxxx|insert|replace|redacted")
# Marks that other things have, too.
WEAK = (b"sk-", b"pa-", b"pc", b"fw_", b"re_", b"SK", b"EAA", b"sess-", b"key-")
IS_BASIC = Late(r"(?i)\bauthorization[\"']?[ :=]+[\"']?basic +$")
BASIC_HINT = r"(?i)authorization[\\\"' :=]+basic "
# Names that say a value is a key, or a password; what stands between is how formats assign.
ASSIGNED = r"[\"'\]]{0,2}(?: is| ist| lautet)? {0,3}(?:[:=]|:=|=>| ) {0,3}\\?[\"'`]?$"
IS_NAMED = Late(
    r"(?i)(?:aws.{0,3}secret|secret.{0,3}access.{0,3}key|account.?key|access.?key|api.?key|apikey|auth.?token"
    r"|access.?token|refresh.?token|secret.?key|client.?secret|api.?token|private.?token|signing.?secret"
    rf"|webhook.?secret|bot.?token|subscription.?key|api-schlüssel)(?:_?id|_?value)?{ASSIGNED}"
)
# These name many other things, too: hashes and numbers of rows.
MAY_BE_NAMED = Late(
    r"(?i)(?:token|secret|key|schlüssel|geheimnis)[\"'\]]{0,2} {0,3}(?:[:=]|:=|=>|is |ist |lautet )"
    r" {0,3}\\?[\"'`]?$"
)
# A name and what follows it, as raw JSON holds the two: with slashes before quotes.
IS = "(?:is|ist|lautet)"
ASSIGNS = r"[ \"'\]\\:=>`]+"
NAMED_HINT = (
    r"(?i)(?:secret|token|key|schl(?:ü|\\+u00[df]c)ssel|geheimnis)(?:_?id|_?value)?"
    rf"(?:{ASSIGNS}(?:{IS}{ASSIGNS})?|{IS}{ASSIGNS})[A-Za-z0-9/+_.~\-\\]{{16}}"
)
IS_PASSWORD = Late(
    rf"(?i)(?:password|passwd|pwd|passwort|kennwort|passphrase|_pass)(?:_?value)?{ASSIGNED}"
)
# What stands in a manual where a password would.
EXAMPLE_USERS = frozenset((b"user", b"username", b"benutzer", b"name", b"login"))
EXAMPLES = frozenset((b"password", b"pass", b"passwd", b"pwd", b"passwort", b"pw"))
CODE_MARKS = (b"xxx", b"${", b"{{", b"$(", b"***", b"()", b"](", b"environ", b"getenv")
EXAMPLE_MARKS = (b"xxx", b"${", b"{{", b"$(", b"%(", b"***", b"...", b"[", b"{")
FEW = 6  # different characters: of fewer nobody makes a key


def patterns(kinds: Sequence[str]) -> list[Pattern]:
    """What is looked for: these kinds, or all of them.

    Raises InvalidValue for a kind that nobody knows.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise InvalidValue(
                f"`kinds`: `{NAME}` does not know {kind!r}; it knows {', '.join(KINDS)}.",
                param="kinds",
            )
    return [pattern for pattern in BUILT_IN if not kinds or pattern.kind in kinds]


def _marked(before: bytes, candidate: bytes, after: bytes) -> tuple[int, int] | None:
    """A key, unless it is a name or a place for one: sk-fading-circle, sk-xxxxxxxx, ghp_your_token."""
    secret = candidate[4:]
    if before[-1:] == b"-" and before[-2:-1].isalnum():
        return None
    if len({*secret}) <= FEW or PLACE.search(candidate):
        return None
    is_sure = not candidate.startswith(WEAK) or _is_random(secret)
    return (0, len(candidate)) if is_sure else None


def _is_random(secret: bytes) -> bool:
    """Whether nobody would name a thing like this: digits, or capitals, among small letters."""
    digits = sum(byte in DIGITS for byte in secret)
    capitals = sum(byte in LETTERS[:26] for byte in secret)
    return digits >= 3 or 3 <= capitals <= len(secret) - 3


def _jwt(before: bytes, candidate: bytes, after: bytes) -> tuple[int, int] | None:
    """A token whose head says how it is signed."""
    head = _decoded(candidate.partition(b".")[0])
    try:
        said = json.loads(head)
    except (ValueError, RecursionError):
        return None
    return (0, len(candidate)) if isinstance(said, dict) and {"alg", "enc"} & {*said} else None


def _bearer(before: bytes, candidate: bytes, after: bytes) -> tuple[int, int] | None:
    """What follows "bearer", unless it is prose; in a header nothing is."""
    plain = candidate.rstrip(b".")
    if IS_BEARER.search(before) is None or len({*plain}) <= FEW or PLACE.search(plain):
        return None
    is_sure = IS_HEADER.search(before) is not None or _has_digit(plain) or _is_random(plain)
    return (0, len(plain)) if is_sure else None


def _basic(before: bytes, candidate: bytes, after: bytes) -> tuple[int, int] | None:
    if IS_BASIC.search(before) is None or b":" not in _decoded(candidate):
        return None
    return 0, len(candidate)


def _value(before: bytes, candidate: bytes, after: bytes) -> tuple[int, int] | None:
    """What a name calls a key, if it looks like one: long, of letters and digits, no word of a program."""
    plain = candidate.rstrip(b".")
    is_mixed = _has_digit(plain) and any(byte in LETTERS for byte in plain)
    if not is_mixed or len({*plain}) <= FEW or len(plain) < 16:
        return None
    is_hash = not plain.lower().strip(b"0123456789abcdef-")
    if IS_NAMED.search(before) is None and (is_hash or MAY_BE_NAMED.search(before) is None):
        return None
    return None if _is_code(plain) or after in {b"(", b"["} else (0, len(plain))


def _password(before: bytes, candidate: bytes, after: bytes) -> tuple[int, int] | None:
    """What a name calls a password, if a machine or a careful person has made it."""
    plain = candidate.rstrip(b".,;:!?)")
    is_mixed = _has_digit(plain) and any(byte in LETTERS for byte in plain)
    if not is_mixed or len(plain) < 6 or IS_PASSWORD.search(before) is None:
        return None
    return None if _is_code(plain) else (0, len(plain))


def _is_code(value: bytes) -> bool:
    """Whether it names a value in place of being one: a call, a variable, a place to fill in."""
    is_path = (
        b"." in value and value.islower() and value.replace(b".", b"").replace(b"_", b"").isalnum()
    )
    return is_path or value[:1] in b"$%<{[(" or any(mark in value.lower() for mark in CODE_MARKS)


def _has_digit(value: bytes) -> bool:
    return any(byte in DIGITS for byte in value)


def _url(before: bytes, candidate: bytes, after: bytes) -> tuple[int, int] | None:
    """The password of an address; user and host stay."""
    start = candidate.index(b":", candidate.index(b"://") + 3) + 1
    password = candidate[start:-1]
    user = candidate[candidate.index(b"://") + 3 : start - 1].lower()
    is_example = (user in EXAMPLE_USERS and password.lower() in EXAMPLES) or password.startswith(
        (b"$", b"%", b"<")
    )
    if (
        is_example
        or any(mark in password.lower() for mark in EXAMPLE_MARKS)
        or not password.strip(b"*")
    ):
        return None
    return start, len(candidate) - 1


def _decoded(part: bytes) -> bytes:
    """What URL-safe or plain base64 says; b"": nothing."""
    plain = part.rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
    try:
        return base64.b64decode(plain + b"=" * (-len(plain) % 4))
    except binascii.Error:
        return b""


BUILT_IN = (
    Pattern(
        "provider_key",
        rf"\b(?:{'|'.join(MARKED)})",
        NAMES,
        MARKED_HINT,
        accept=_marked,
    ),
    Pattern(
        "provider_key",
        rf"\b(?:{'|'.join(DOTTED)})",
        NAMES + b".:",
        DOTTED_HINT,
        accept=_marked,
    ),
    Pattern("provider_key", VALUE, TOKEN_BYTES, NAMED_HINT, accept=_value),
    Pattern(
        "password",
        CHOSEN,
        CHOSEN_BYTES,
        "(?i)passw|kennwort|pwd|passphrase|_pass",
        accept=_password,
    ),
    Pattern(
        "provider_key",
        r"\b(?:hooks\.slack\.com/(?:services|workflows)|discord(?:app)?\.com/api/webhooks)/[A-Za-z0-9/_-]{20,}",
        NAMES + b"./",
        r"hooks\.slack|api\\*/webhooks",
    ),
    Pattern("token", JWT, NAMES + b".", rf"eyJ{WORD}{{5,}}\.", accept=_jwt),
    Pattern("token", BEARER, TOKEN_BYTES, "(?i)bearer", accept=_bearer),
    Pattern("private_key", PEM, PEM_BYTES, "BEGIN [A-Z0-9 ]*PRIVATE KEY", closes=PEM_END),
    Pattern("password", URL, URL_BYTES, r":\\*/\\*/[^\s\"'<>]*@", accept=_url),
    Pattern("password", BASIC, TOKEN_BYTES, BASIC_HINT, accept=_basic),
)

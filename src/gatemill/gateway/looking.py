"""What guards see of a body: its texts, what the patterns find in them, what others say of them.

Rule: a body in which nothing can be found is not decoded. `look` touches nothing but its arguments, so
that a thread may run it.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import Struct

from gatemill.core.errors import GatemillError, GuardUnavailable
from gatemill.gateway.guards import HERE_BYTES_MAX, unavailable
from gatemill.gateway.judging import Hand, joined, refusal
from gatemill.wire import fields, quoted, texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.call import Call
    from gatemill.core.guard import Finding, Piece, Remote, Use
    from gatemill.gateway.guards import Guards, Side
    from gatemill.gateway.judging import Judge
    from gatemill.wire.texts import Place

_TOP = "body"  # where a body is nothing but one text
_SPOKEN = re.compile(r"[a-z_]{1,40}|[0-9]{1,4}")  # parts of a path that cannot be a caller's text
# What a body of a known format begins with, at its top: see texts.STRUCTURAL.
_HEAD = re.compile(
    rb'\{(?:\s*+"(?:id|object|type|role|model|status|created|created_at)"\s*+:\s*+'
    rb'(?:"[^"\\]*+"|[0-9]++)\s*+,)++'
)
_decode = msgspec.json.decode


class Look(Struct):
    """A body, taken apart."""

    body: Any  # decoded; texts are put back into it
    places: list[Place]
    found: list[tuple[Place, list[Piece]]]  # where patterns have found something


def glance(side: Side | None, body: bytes) -> bool | None:
    """Whether this side may see something in a body; None: a glance does not tell, `look` does.

    False is certain. Ordinary requests and answers come no further than here.
    """
    if side is None:
        return False
    if side.reads_all or len(body) > HERE_BYTES_MAX:
        return None
    return side.scan is not None and side.scan.screen(_behind_head(body))


def look(side: Side, body: bytes) -> Look | None:
    """The body as this side sees it; None where there is certainly nothing to see.

    Raises GuardUnavailable for a body that is no JSON.
    """
    scan = side.scan
    if not side.reads_all and (scan is None or not scan.screen(_behind_head(body))):
        return None
    return apart(side, body)


def apart(side: Side, body: bytes) -> Look:
    """The same for a body in which something may be. Raises GuardUnavailable."""
    try:
        decoded = _decode(body)
        places = texts.places([decoded] if isinstance(decoded, str) else decoded)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise GuardUnavailable("A guard cannot read this: it is no JSON.") from None
    scan = side.scan
    if scan is None:
        return Look(decoded, places, [])
    found: list[tuple[Place, list[Piece]]] = []
    for place in places:
        text = place.text
        if place.is_json:
            text = opened(text, is_json=True)
        if pieces := scan.pieces(text.encode("utf-8", "replace")):
            found.append((place, pieces))
    return Look(decoded, places, found)


async def seen_by(guards: Guards, side: Side, body: bytes, *, is_suspect: bool) -> Look | None:
    """What `look` says; a thread reads a large body. `is_suspect`: a glance has said that there may be something."""
    if is_suspect:
        return apart(side, body)
    if len(body) <= HERE_BYTES_MAX:
        return look(side, body)
    return await guards.read(partial(look, side, body))


def _behind_head(body: bytes) -> bytes:
    """The body without the ids and numbers that it begins with: they are no texts, and look like some."""
    head = _HEAD.match(body)
    return body if head is None else body[head.end() - 1 :]  # a name begins behind a comma


def opened(text: str, *, is_json: bool) -> str:
    """A text as a guard reads it."""
    if not is_json:
        return text
    opening = quoted.Opening()
    return opening.feed(text) + opening.finish()


def closed(text: str, *, is_json: bool) -> str:
    """What a guard has read, as it stands in its body."""
    return quoted.Closing().feed(text) if is_json else text


def replace(judge: Judge, seen: Look) -> bool:
    """The texts of the body are what the judge leaves of them. Whether any has changed."""
    if judge.side.size is not None:
        judge.sizes(sum(len(place.text) for place in seen.places if not place.is_key))
    changed = False
    # In their order: a name is changed behind the value that stands under it.
    for place, pieces in seen.found:
        changed |= _put(judge, place, pieces)
    return changed


def _put(judge: Judge, place: Place, pieces: Sequence[Piece]) -> bool:
    hand = Hand(judge, shown(place), is_json=place.is_json)
    after = b"".join(map(hand.take, joined(pieces)))
    if after == b"".join(piece.text for piece in pieces):
        return False
    place.put(closed(after.decode(), is_json=place.is_json))
    return True


def shown(place: Place) -> str:
    """The path of a place, without names that a caller has made up: those may be texts themselves."""
    path = place.path[: -len(place.name)].rstrip(".") if place.is_key else place.path
    if not path:
        return _TOP
    return ".".join(part if _SPOKEN.fullmatch(part) else "*" for part in path.split("."))


class Opened(NamedTuple):
    """A text as guards that wait for somebody get it."""

    text: str
    is_json: bool  # it is opened JSON


async def ask(guards: Guards, judge: Judge, given: Sequence[Opened], call: Call) -> list[str]:
    """The texts as the guards that wait for somebody leave them, one after the other.

    Raises GuardUnavailable when one cannot answer, unless the configuration lets pass.
    """
    seen = [one.text for one in given]
    for use, remote, threshold in judge.side.remotes:
        if judge.blocked is not None:
            break
        found = await _asked(guards, (use, remote), seen, call, judge.side.name)
        for index, all_of_one in enumerate(found):
            counted = [
                one
                for one in sorted(all_of_one)
                if one.score >= threshold and (not use.kinds or one.kind in use.kinds)
            ]
            if counted:
                told = Opened(seen[index], given[index].is_json)
                seen[index] = _replaced(judge, use, told, counted)
    return seen


def _replaced(judge: Judge, use: Use, given: Opened, found: Sequence[Finding]) -> str:
    """The text without what somebody else has found in it."""
    encoded = given.text.encode("utf-8", "replace")
    for one in found:
        chars = len(encoded[one.start : one.end].decode("utf-8", "replace"))
        judge.counted(use, one.kind, chars)
        # A label would take the end of a string of the JSON with it.
        breaks = given.is_json and use.mode != "log" and b'"' in encoded[one.start : one.end]
        if use.mode == "block" or breaks:
            judge.refuse(refusal(judge.side.name, use, one.kind, chars, _TOP))
    if use.mode == "log" or judge.blocked is not None:
        return given.text
    out: list[bytes] = []
    at, in_string = 0, not given.is_json
    for start, end, kind in _apart(found):
        between = encoded[at:start]
        if given.is_json and between.count(b'"') % 2:
            in_string = not in_string
        label = judge.substitute(kind, encoded[start:end], use)
        out += (between, label if in_string else b'"%b"' % label)
        at = end
    return b"".join((*out, encoded[at:])).decode("utf-8", "replace")


def _apart(found: Sequence[Finding]) -> list[tuple[int, int, str]]:
    """Places in their order; those that overlap are one, of the first one's kind."""
    places: list[tuple[int, int, str]] = []
    for one in found:
        if places and one.start < places[-1][1]:
            start, end, kind = places[-1]
            places[-1] = start, max(end, one.end), kind
        else:
            places.append((one.start, one.end, one.kind))
    return places


async def _asked(
    guards: Guards, asked: tuple[Use, Remote], seen: list[str], call: Call, side: str
) -> Sequence[list[Finding]]:
    use, remote = asked
    try:
        return await remote.judge(seen, call, side)
    except GatemillError as error:
        guards.failed(use)
        if guards.passes_on_failure:
            return ()
        raise unavailable(use, error) from None


async def ask_places(guards: Guards, judge: Judge, seen: Look, call: Call) -> bool:
    """The places of the body as `ask` leaves them. Whether any has changed."""
    before = [
        Opened(opened(place.text, is_json=place.is_json), place.is_json) for place in seen.places
    ]
    after = await ask(guards, judge, before, call)
    changed = False
    for place, old, new in zip(seen.places, before, after, strict=True):
        if new != old.text:
            place.put(closed(new, is_json=place.is_json))
            changed = True
    return changed


def encoded(seen: Look, body: bytes) -> bytes:
    """The body anew: each name stands once in it, so that nothing hides behind another of its name.

    `body` itself where that is the same.
    """
    anew = fields.encode(seen.body)
    return body if anew == body else anew

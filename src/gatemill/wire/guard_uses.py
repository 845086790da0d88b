"""Guards as people write them: JSON in the admin API, `input:pii=mask` on the command line.

Rule: the shape only. Which guards, kinds and hooks there are is said by gateway/guards.py.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gatemill.core.errors import InvalidType, InvalidValue, MissingParameter, UnsupportedParameter
from gatemill.core.guard import NOTHING, Use, Uses

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gatemill.core.ports import Json

USES_MAX = 32  # on one side of one scope
_SIDES = ("input", "output")
_FIELDS = ("guard", "mode", "kinds", "threshold", "chars_max", "hook")
_KINDS_MAX = 100
_NAME_CHARS_MAX = 100  # of a guard, a kind, a hook


def read(said: Any, at: str = "guards") -> Uses:
    """The guards of a scope; null is none.

    `said` is decoded JSON, `at` the path of it for errors. Raises InvalidType, InvalidValue,
    MissingParameter and UnsupportedParameter.
    """
    if said is None:
        return NOTHING
    values = _object(said, at, _SIDES)
    return Uses(*(_side(values.get(side, ()), f"{at}.{side}") for side in _SIDES))


def shown(uses: Uses) -> Json:
    """The guards as `read` takes them; a side without any is absent."""
    return {
        side: [said(use) for use in found]
        for side, found in zip(_SIDES, (uses.input, uses.output), strict=True)
        if found
    }


def words(uses: Uses) -> str:
    """The guards in a few words, as `options` takes them: `input:pii=mask output:size=8000`."""
    sides = zip(_SIDES, (uses.input, uses.output), strict=True)
    return " ".join(f"{side}:{_word(use)}" for side, found in sides for use in found)


def _word(use: Use) -> str:
    is_plain_size = use.chars_max is not None and use.mode == "block"
    return f"{':'.join(filter(None, use.name))}={use.chars_max if is_plain_size else use.mode}"


def options(texts: Iterable[str], option: str) -> Uses:
    """The guards that options such as `input:pii=mask` or `input:size=8000` name. Raises InvalidValue.

    `none` alone is no guard at all.
    """
    said: dict[str, list[Json]] = {}
    for text in texts:
        if text == "none":
            continue
        side, _, rest = text.partition(":")
        named, is_full, mode = rest.partition("=")
        guard, _, hook = named.partition(":")
        if side not in _SIDES or not guard or (is_full and not mode):
            raise InvalidValue(
                f"{option} {text}: write input:pii=mask, output:secrets=block,"
                " input:http:HOOK=block or input:size=8000.",
                param=option,
            )
        use: Json = {"guard": guard, "mode": mode or "block"}
        if guard == "size" and mode.isdecimal():
            use |= {"mode": "block", "chars_max": int(mode)}
        if hook:
            use["hook"] = hook
        said.setdefault(side, []).append(use)
    return read(said, option)


def _side(said: Any, at: str) -> tuple[Use, ...]:
    if not isinstance(said, (list, tuple)):
        raise InvalidType(f"`{at}`: must be an array of guards.", param=at)
    if len(said) > USES_MAX:
        raise InvalidValue(f"`{at}`: name at most {USES_MAX} guards.", param=at)
    return tuple(_use(one, f"{at}.{index}") for index, one in enumerate(said))


def _use(said: Any, at: str) -> Use:
    values = _object(said, at, _FIELDS)
    if "guard" not in values:
        raise MissingParameter(f"`{at}.guard`: is required. Name the guard.", param=f"{at}.guard")
    return Use(
        guard=_text(values["guard"], f"{at}.guard"),
        mode=_text(values.get("mode", "block"), f"{at}.mode"),
        kinds=_texts(values.get("kinds", ()), f"{at}.kinds"),
        threshold=_share(values.get("threshold"), f"{at}.threshold"),
        chars_max=_count(values.get("chars_max"), f"{at}.chars_max"),
        hook=_text(values.get("hook", ""), f"{at}.hook"),
    )


def said(use: Use) -> Json:
    """One guard as it is written."""
    told: Json = {"guard": use.guard, "mode": use.mode}
    if use.kinds:
        told["kinds"] = list(use.kinds)
    if use.threshold is not None:
        told["threshold"] = use.threshold
    if use.chars_max is not None:
        told["chars_max"] = use.chars_max
    if use.hook:
        told["hook"] = use.hook
    return told


def _object(said: Any, at: str, known: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(said, dict):
        raise InvalidType(f"`{at}`: must be an object.", param=at)
    for name in said:
        if name not in known:
            where = f"{at}.{name[:60]}"
            raise UnsupportedParameter(
                f"`{where}` is not known here. Use {', '.join(known)}.", param=where
            )
    return said


def _text(said: Any, at: str) -> str:
    if not isinstance(said, str):
        raise InvalidType(f"`{at}`: must be a string.", param=at)
    if len(said) > _NAME_CHARS_MAX:
        raise InvalidValue(f"`{at}`: names have at most {_NAME_CHARS_MAX} characters.", param=at)
    return said


def _texts(said: Any, at: str) -> tuple[str, ...]:
    if not isinstance(said, (list, tuple)):
        raise InvalidType(f"`{at}`: must be an array of strings.", param=at)
    if len(said) > _KINDS_MAX:
        raise InvalidValue(f"`{at}`: name at most {_KINDS_MAX} kinds.", param=at)
    return tuple(_text(one, f"{at}.{index}") for index, one in enumerate(said))


def _share(said: Any, at: str) -> float | None:
    if said is None:
        return None
    if isinstance(said, bool) or not isinstance(said, (int, float, Decimal)):
        raise InvalidType(f"`{at}`: must be a number.", param=at)
    if not (math.isfinite(said) and 0 <= said <= 1):
        raise InvalidValue(f"`{at}`: must be from 0 to 1.", param=at)
    return float(said)


def _count(said: Any, at: str) -> int | None:
    if said is None:
        return None
    if isinstance(said, bool) or not isinstance(said, int):
        raise InvalidType(f"`{at}`: must be an integer.", param=at)
    if not 0 < said < 2**53:
        raise InvalidValue(f"`{at}`: must be 1 or more.", param=at)
    return said

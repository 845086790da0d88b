"""What is said of features over the API -> what the ledger keeps. Pure.

Rule: strict; every mistake is an InvalidValue with the path of the field and the remedy.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta, Struct

from gatemill.core.errors import InvalidType, InvalidValue
from gatemill.ledger.features import Feature, Set, Written
from gatemill.wire.moments import moment_s

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Type = Literal["string", "number", "boolean"]
TYPES = ("string", "number", "boolean")
SOURCES = ("local", "feast")
FEATURES_MAX = 100  # of a set
ROWS_MAX = 1_000  # in one write
VALUES_MAX = 10_000  # in one write, and in one read
KEYS_MAX = 1_000  # in one read
KEY_CHARS_MAX = 200
TEXT_CHARS_MAX = 4_096  # of a value
AHEAD_S = 300.0  # events of the future: clocks differ by less
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)
_SET_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}", re.ASCII)
_REF = re.compile(r"[\w@.-]{1,200}:[\w.-]{1,200}", re.ASCII)
_JOIN_KEY = re.compile(r"\w{1,200}", re.ASCII)


class FeatureNew(Struct, frozen=True, forbid_unknown_fields=True):
    """One feature, as it is sent."""

    name: str
    type: Type
    default: Any = None
    ttl_s: Annotated[float, Meta(gt=0, le=3_153_600_000)] | None = None
    ref: str | None = None


class SetNew(Struct, frozen=True):
    """A set, as it is sent; its name stands in the path."""

    entity: str
    features: Annotated[list[FeatureNew], Meta(min_length=1, max_length=FEATURES_MAX)]
    trusted: bool = False
    source: Literal["local", "feast"] = "local"
    join_key: str | None = None


class RowNew(Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of one entity."""

    key: str
    values: dict[str, Any]
    event_ts: float | str | None = None  # when it became so: Unix seconds or ISO 8601; now


class WriteNew(Struct, frozen=True):
    """Values to write."""

    entity: str
    rows: Annotated[list[RowNew], Meta(min_length=1, max_length=ROWS_MAX)]


class ReadNew(Struct, frozen=True):
    """Values to read."""

    entities: Annotated[dict[str, list[str]], Meta(min_length=1, max_length=8)]
    features: Annotated[list[str], Meta(min_length=1, max_length=FEATURES_MAX)] | None = None
    as_of: float | str | None = None  # the moment whose values are wanted; now
    known_by: float | str | None = None  # only what was written by then; now


def checked_set(name: str, said: SetNew) -> Set:
    """The set that is meant. Raises InvalidValue."""
    _check_name(name, "name", _SET_NAME, "letters, digits, - and _")
    _check_name(said.entity, "entity", _NAME, "letters, digits and _")
    features = tuple(
        _feature(each, f"features.{at}", said.source) for at, each in enumerate(said.features)
    )
    for at, each in enumerate(features):
        if each.name in {other.name for other in features[:at]}:
            raise InvalidValue(
                f"`features.{at}.name`: stands twice. Name each feature once.",
                param=f"features.{at}.name",
            )
    if said.source == "local" and said.join_key is not None:
        raise InvalidValue(
            "`join_key`: only a set with `source: feast` has one. Leave it out.", param="join_key"
        )
    join_key = said.join_key or said.entity
    if not _JOIN_KEY.fullmatch(join_key):
        raise InvalidValue("`join_key`: send a name such as user_id.", param="join_key")
    return Set(
        name=name,
        entity=said.entity,
        features=features,
        trusted=said.trusted,
        source=said.source,
        join_key=join_key if said.source == "feast" else "",
    )


def fitting(value: Any, type_: str, param: str) -> str | float | bool | None:
    """The value, where it is of the type. Raises InvalidType and InvalidValue."""
    if isinstance(value, Decimal):
        value = int(value) if value == value.to_integral_value() else float(value)
    if value is None:
        return None
    if not is_of(value, type_):
        word = {"string": "a string", "number": "a number", "boolean": "true or false"}[type_]
        raise InvalidType(f"`{param}`: must be {word} or null.", param=param)
    if isinstance(value, str) and len(value) > TEXT_CHARS_MAX:
        raise InvalidValue(
            f"`{param}`: has {len(value)} characters; {TEXT_CHARS_MAX} are the most.", param=param
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidValue(f"`{param}`: send a finite number.", param=param)
    kept: str | float | bool = value
    return kept


def is_of(value: Any, type_: str) -> bool:
    """Whether a value is of a type."""
    if type_ == "string":
        return isinstance(value, str)
    if type_ == "boolean":
        return isinstance(value, bool)
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def written(said: WriteNew, types: Mapping[str, str], now_s: float) -> list[Written]:
    """The values to write; `types` are those of the entity's features. Raises InvalidRequest's kinds."""
    found = list(_written(said, types, now_s))
    if len(found) > VALUES_MAX:
        raise InvalidValue(
            f"`rows`: hold {len(found)} values; {VALUES_MAX} are the most at once. Send several.",
            param="rows",
        )
    return found


def moment(said: float | str | None, now_s: float, param: str) -> float:
    """Unix time of what was sent; now by default. Raises InvalidValue."""
    if said is None:
        return now_s
    if isinstance(said, str):
        return moment_s(said, now_s, param)
    return moment_s(f"{float(said):.6f}", now_s, param)


def check_key(key: str, param: str) -> None:
    """Raises InvalidValue for what is no key of an entity."""
    if not 0 < len(key) <= KEY_CHARS_MAX or not key.isprintable():
        raise InvalidValue(
            f"`{param}`: a key has 1 to {KEY_CHARS_MAX} printable characters.", param=param
        )


def check_read(said: ReadNew, count: int) -> None:
    """Raises InvalidValue for more than is read at once; `count` are the features of an entity."""
    keys = sum(len(keys) for keys in said.entities.values())
    if keys > KEYS_MAX or keys * count > VALUES_MAX:
        raise InvalidValue(
            f"`entities`: {KEYS_MAX} keys and {VALUES_MAX} values are the most at once. Send several.",
            param="entities",
        )
    for entity, each in said.entities.items():
        for at, key in enumerate(each):
            check_key(key, f"entities.{entity}.{at}")


def _feature(said: FeatureNew, param: str, source: str) -> Feature:
    _check_name(said.name, f"{param}.name", _NAME, "letters, digits and _")
    if source == "feast" and not _REF.fullmatch(said.ref or ""):
        raise InvalidValue(
            f'`{param}.ref`: say what Feast calls it, such as "user_stats:tier".',
            param=f"{param}.ref",
        )
    if source == "local" and said.ref is not None:
        raise InvalidValue(
            f"`{param}.ref`: only features of Feast have one. Leave it out.", param=f"{param}.ref"
        )
    default = fitting(said.default, said.type, f"{param}.default")
    return Feature(said.name, said.type, default, said.ttl_s, said.ref or "")


def _check_name(name: str, param: str, pattern: re.Pattern[str], words: str) -> None:
    if not pattern.fullmatch(name):
        raise InvalidValue(
            f"`{param}`: a name begins with a small letter and has small {words}, 63 at most.",
            param=param,
        )


def _written(said: WriteNew, types: Mapping[str, str], now_s: float) -> Iterator[Written]:
    for at, row in enumerate(said.rows):
        path = f"rows.{at}"
        check_key(row.key, f"{path}.key")
        event_at = moment(row.event_ts, now_s, f"{path}.event_ts")
        if event_at > now_s + AHEAD_S:
            raise InvalidValue(
                f"`{path}.event_ts`: lies in the future. Send the moment at which it became so.",
                param=f"{path}.event_ts",
            )
        for name, value in row.values.items():
            param = f"{path}.values.{name[:80]}"
            if name not in types:
                raise InvalidValue(
                    f"`{param}`: no feature set of {said.entity} has this feature."
                    f" {_remedy(list(types))}",
                    param=param,
                )
            kept = fitting(value, types[name], param)
            yield Written(said.entity, row.key, name, event_at, kept)


def _remedy(names: Sequence[str]) -> str:
    return f"Use {', '.join(names[:20])}." if names else "Declare it: PUT /v1/feature_sets/NAME."

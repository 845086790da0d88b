"""The declared feature sets, by what requests name. Rule: never changes; a change makes a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gatemill.core.errors import InvalidType, InvalidValue
from gatemill.features.words import fitting

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gatemill.features.feast import Known
    from gatemill.ledger.features import Feature, Set

_SHOWN_CHARS = 60  # of an unknown name


class Told(Struct, frozen=True):
    """What is told of one feature of one entity."""

    value: Any  # the default where the status is not PRESENT
    status: str  # "PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE"
    event_at: float | None  # Unix time


class Table:
    """All sets at one moment."""

    def __init__(self, sets: Iterable[Set]) -> None:
        self.sets = {one.name: one for one in sets}
        self._of: dict[str, list[Set]] = {}
        self._named: dict[str, tuple[Set, Feature]] = {}
        for one in self.sets.values():
            self._of.setdefault(one.entity, []).append(one)
            for feature in one.features:
                self._named[f"{one.entity}.{feature.name}"] = one, feature

    def of(self, entity: str, param: str) -> Sequence[Set]:
        """The sets of a kind of entity. Raises InvalidValue."""
        found = self._of.get(entity)
        if found is None:
            known = (
                f"Use {', '.join(sorted(self._of)[:20])}." if self._of else "There are none here."
            )
            raise InvalidValue(
                f"`{param}`: no feature set has the entity {entity[:_SHOWN_CHARS]!r}. {known}"
                " PUT /v1/feature_sets/NAME declares one.",
                param=param,
            )
        return found

    def features(self, entity: str, names: Sequence[str] | None, param: str) -> list[Feature]:
        """The features of an entity, or those of them in `names` ("user.tier"). Raises InvalidValue."""
        every = [feature for one in self.of(entity, param) for feature in one.features]
        if names is None:
            return every
        return [feature for feature in every if f"{entity}.{feature.name}" in names]

    def check(self, names: Sequence[str], param: str) -> None:
        """Raises InvalidValue for a name that no set has."""
        for at, name in enumerate(names):
            if name not in self._named:
                raise InvalidValue(
                    f"`{param}.{at}`: no feature set has {name[:_SHOWN_CHARS]!r}. Write the entity"
                    " before the feature, such as user.tier.",
                    param=f"{param}.{at}",
                )

    def types(self, entity: str, source: str) -> dict[str, str]:
        """The types of an entity's features that come from `source`, by their names."""
        return {
            feature.name: feature.type
            for one in self.of(entity, "entity")
            if one.source == source
            for feature in one.features
        }

    def claims(self, said: Mapping[str, Any], *, trusts: bool) -> dict[str, Any]:
        """What a caller says of features that are declared, and may say.

        `trusts`: the caller is one whose word counts like the platform's. Raises InvalidType, and
        InvalidValue for a feature of a trusted set.
        """
        found = {}
        for name, value in said.items():
            param = f"features.{name[:_SHOWN_CHARS]}"
            declared = self._named.get(name)
            if declared is None:
                if value is not None and not isinstance(value, (str, bool, int, float)):
                    raise InvalidType(
                        f"`{param}`: must be a text, a number or a boolean.", param=param
                    )
                continue
            one, feature = declared
            if one.trusted and not trusts:
                raise InvalidValue(
                    f"`{param}`: is known to the platform (feature set {one.name}), and callers may not"
                    " say it. Leave it out, and name the entity in `entities`.",
                    param=param,
                )
            kept = fitting(value, feature.type, param)
            if kept is not None:
                found[name] = kept
        return found


def told(feature: Feature, known: Known | None, at_s: float) -> Told:
    """What is told at a moment in Unix time."""
    if known is None:
        return Told(feature.default, "NOT_FOUND", None)
    status = known.status
    if status == "PRESENT" and _is_old(feature, known, at_s):
        status = "OUTSIDE_MAX_AGE"
    value = known.value if status == "PRESENT" else feature.default
    return Told(value, status, known.event_at)


def _is_old(feature: Feature, known: Known, at_s: float) -> bool:
    return (
        feature.ttl_s is not None
        and known.event_at is not None
        and at_s - known.event_at > feature.ttl_s
    )

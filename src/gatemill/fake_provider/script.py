"""A model's name as a script: `<base>[+<fault>[=<value>]]...`.

Rule: the only place that reads the grammar. `base` is any text without `+`; slashes are welcome,
since gateways send `vendor/model`.
"""

from __future__ import annotations

import difflib
from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec import Struct

from gatemill.core.errors import InvalidValue
from gatemill.fake_provider.faults import CATALOGUE, SECONDS, Fault

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME_CHARS_MAX = 512


class Script(Struct, frozen=True):
    """What a model name asks for."""

    model: str  # the whole name
    base: str
    always: Mapping[str, float]  # fault name -> value; 1.0 where the fault takes none
    at_first: Mapping[str, float]  # `always` and the faults written after `first`
    first: int = 0  # how many requests meet `at_first`

    def faults(self, number: int) -> Mapping[str, float]:
        """The faults that request `number` (1-based, counted per whole name) meets."""
        return self.at_first if number <= self.first else self.always


@lru_cache(maxsize=1024)
def parse(model: str) -> Script:
    """The script in a model name. Raises InvalidValue, naming the nearest fault when there is one."""
    if len(model) > NAME_CHARS_MAX:
        raise InvalidValue(f"Keep the model name below {NAME_CHARS_MAX} characters.", param="model")
    base, *words = model.split("+")
    if not base:
        raise InvalidValue("Put a name before the first `+`, as in `fake+hang`.", param="model")
    always: dict[str, float] = {}
    later: dict[str, float] = {}
    first = 0
    for word in words:
        name, equals, text = word.partition("=")
        value = _value(_fault(name), text if equals else None)
        if name in always or name in later or (name == "first" and first):
            raise InvalidValue(f"`{name}` stands twice in the model name.", param="model")
        if name == "first":
            first = int(value)
        elif first:
            later[name] = value
        else:
            always[name] = value
    if first and not later:
        raise InvalidValue(
            "Write a fault after `first`, as in `fake+first=2+status=503`.", param="model"
        )
    return Script(model, base, always, always | later, first)


def _fault(name: str) -> Fault:
    fault = CATALOGUE.get(name)
    if fault is not None:
        return fault
    near = difflib.get_close_matches(name, CATALOGUE, n=1, cutoff=0.5)
    hint = f" Did you mean `{near[0]}`?" if near else " The guide lists them all."
    raise InvalidValue(f"No fault is named `{name}`.{hint}", param="model")


def _value(fault: Fault, text: str | None) -> float:
    if not fault.value:
        if text is None:
            return 1.0
        raise InvalidValue(f"`{fault.name}` takes no value; write it alone.", param="model")
    if text is None:
        if fault.default is not None:
            return fault.default
        raise InvalidValue(f"`{fault.name}` needs a value: `{fault.usage}`.", param="model")
    kind = "number" if fault.value == SECONDS else "whole number"
    wanted = f"a {kind} from {fault.low:g} to {fault.high:g}"
    try:
        value = float(text) if fault.value == SECONDS else float(int(text))
    except (ValueError, OverflowError) as error:
        raise InvalidValue(f"`{fault.usage}` takes {wanted}.", param="model") from error
    # Written this way round, the comparison also refuses NaN.
    if not fault.low <= value <= fault.high:
        raise InvalidValue(f"`{fault.usage}` takes {wanted}.", param="model")
    return value

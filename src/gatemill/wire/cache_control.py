"""The Cache-Control of a request (RFC 9111, section 5.2.1).

Rule: a directive that we do not know is ignored; one that we know must be right.
"""

from __future__ import annotations

import re

from msgspec import Struct

from gatemill.core.errors import HeaderInvalid

_AGE = re.compile(r'"?([0-9]{1,18})"?', re.ASCII)


class CacheControl(Struct, frozen=True):
    """What a caller allows."""

    no_store: bool = False  # neither a kept answer is read nor this one kept
    no_cache: bool = False  # the provider is asked; its answer is kept
    max_age_s: int | None = None  # a kept answer may be as old as this
    only_if_cached: bool = False  # the provider is not asked

    @property
    def reads(self) -> bool:
        """A kept answer may be given."""
        return not (self.no_store or self.no_cache or self.max_age_s == 0)


ANYTHING = CacheControl()


def parse(header: str) -> CacheControl:
    """What the header allows; "" allows everything. Raises HeaderInvalid."""
    if not header:
        return ANYTHING
    names: set[str] = set()
    max_age_s: int | None = None
    for directive in header.split(","):
        name, _, value = directive.partition("=")
        name = name.strip().lower()
        if name == "max-age":
            age = _AGE.fullmatch(value.strip())
            if age is None or (max_age_s is not None and max_age_s != int(age[1])):
                raise HeaderInvalid(
                    "`Cache-Control`: max-age needs one number of seconds, such as max-age=60.",
                    param="Cache-Control",
                )
            max_age_s = int(age[1])
        names.add(name)
    return CacheControl(
        no_store="no-store" in names,
        no_cache="no-cache" in names,
        max_age_s=max_age_s,
        only_if_cached="only-if-cached" in names,
    )

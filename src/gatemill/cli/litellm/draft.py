"""The configuration that comes of it, and what has to be said about it. Rule: nothing is dropped in silence."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

if TYPE_CHECKING:
    from gatemill.cli.litellm.reading import Value

_VARIABLE = "os.environ/"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VARIABLES = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
LEFT, OTHERWISE = "✗", "!"


class Remark(Struct, frozen=True):
    """One thing that a person should know."""

    mark: str  # ✗ was not carried over, ! means something else than before
    file: str
    line: int
    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.mark} {self.file}:{self.line}: {self.path}: {self.text}"


class Draft(Struct):
    """A configuration in the making; filled by the other modules here."""

    sections: dict[str, dict[str, Any]] = field(default_factory=dict)  # server, retries, ...
    providers: dict[str, dict[str, Any]] = field(default_factory=dict)
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    prices: dict[str, dict[str, Any]] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)
    deployments: int = 0  # in the file
    carried: int = 0  # of them

    def set(self, section: str, option: str, value: Any) -> None:
        """An option of a section."""
        self.sections.setdefault(section, {})[option] = value

    def left(self, value: Value, text: str) -> None:
        """It was not carried over."""
        self._remark(LEFT, value, text)

    def otherwise(self, value: Value, text: str, *, once: bool = False) -> None:
        """It was carried over as something that is not quite the same; `once` for the same text."""
        if not (once and any(remark.text == text for remark in self.remarks)):
            self._remark(OTHERWISE, value, text)

    def provider(self, label: str, table: dict[str, Any]) -> str:
        """The name of the provider that is so; a new one where none is yet."""
        for name, other in self.providers.items():
            if other == table:
                return name
        name, number = label, 1
        while name in self.providers:
            number += 1
            name = f"{label}-{number}"
        self.providers[name] = table
        return name

    def variables(self) -> list[str]:
        """Environment variables that it refers to."""
        found: dict[str, None] = {}
        for text in _texts([self.sections, self.providers]):
            found.update(dict.fromkeys(_VARIABLES.findall(text.replace("$${", ""))))
        return sorted(found)

    def _remark(self, mark: str, value: Value, text: str) -> None:
        made = Remark(mark, value.file, value.line, value.path, " ".join(text.split()))
        if made not in self.remarks:
            self.remarks.append(made)


def text_of(value: Value | None) -> str:
    """A text as ours has it: "os.environ/X" becomes "${X}"; "" where there is none."""
    if value is None or value.said is None or isinstance(value.said, (dict, list)):
        return ""
    said = str(value.said).strip()
    name = said.removeprefix(_VARIABLE)
    if name != said and _NAME.fullmatch(name):
        return f"${{{name}}}"
    return said.replace("${", "$${")


def number_of(value: Value | None) -> float | int | None:
    """A number above 0, also one that was written as a text; None where there is none."""
    if value is None or isinstance(value.said, bool):
        return None
    try:
        found = float(str(value.said))
    except ValueError:
        return None
    if not 0 < found < 1e15:
        return None
    return int(found) if found.is_integer() else found


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for each in inner for text in _texts(each)]

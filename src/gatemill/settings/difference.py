"""What differs between two configurations, as people read it.

Rule: no secret is printed beyond its last four characters; what only a restart can change is told
apart, because nobody may think that it has taken effect.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
from pydantic import BaseModel

from gatemill.settings.errors import Path, path_text
from gatemill.settings.model import Settings, Target
from gatemill.settings.secret import Secret, without_passwords

# The listener, the folder, the stores and the processes are made once, at the start.
NEEDS_RESTART: Mapping[str, tuple[str, ...]] = {
    "server": (
        *("host", "port", "admin_host", "admin_port", "data_dir"),
        *("log", "log_level", "openapi", "workers", "watch"),
        *("log_levels", "log_file", "log_file_bytes_max", "log_files_max"),
    ),
    "stores": ("database", "counters", "cache", "when_away"),
    "keys": ("dev_key",),
    "cache": ("memory_bytes",),
    "jobs": (
        *("embedded", "slots", "kinds", "dispatch", "broker", "lease_s", "beat_s"),
        "metrics_port",
    ),
    "telemetry": (
        *("endpoint", "headers", "sample_share", "trust_incoming", "service_name"),
        *("genai_semconv", "queue_max", "timeout_s", "flush_timeout_s"),
    ),
}


class Comparison(NamedTuple):
    """What becomes of a running configuration when another one is applied."""

    settings: Settings  # the new ones, with what needs a restart as it was
    changes: tuple[str, ...]
    needs_restart: tuple[str, ...]  # differs in the file, and is not applied


def compared(old: Settings, new: Settings) -> Comparison:
    """The difference, a line each: `a.b: 1 -> 2`, `+ a.b: 2` and `- a.b: 1`."""
    settings = carried(old, new)
    return Comparison(settings, difference(old, settings), difference(settings, new))


def carried(old: Settings, new: Settings) -> Settings:
    """The new settings with every option that needs a restart as it was."""
    sections = {}
    for section, names in NEEDS_RESTART.items():
        kept = {name: getattr(getattr(old, section), name) for name in names}
        sections[section] = getattr(new, section).model_copy(update=kept)
    return new.model_copy(update=sections)


def difference(old: Settings, new: Settings) -> tuple[str, ...]:
    """One line for each value that differs, in the order of the options."""
    return tuple(_changed(old, new, ()))


def shown(value: Any) -> Any:
    """A value for people: secrets and passwords masked, exact decimals as text."""
    if isinstance(value, Secret):
        return str(value)
    if isinstance(value, str):
        return without_passwords(value)
    if isinstance(value, (tuple, dict)):
        return [shown(item) for item in value]
    return value if isinstance(value, (bool, int, float, type(None))) else str(value)


def _changed(old: Any, new: Any, path: Path) -> Iterator[str]:
    if old == new:
        return
    if old is None or new is None:
        value, sign = (new, "+") if old is None else (old, "-")
        yield from _whole(value, path, sign)
        return
    # An empty list is one of whatever the other one holds.
    before = _parts(old) if old != () else _parts(new) and {}
    after = _parts(new) if new != () else _parts(old) and {}
    if before is None or after is None or (_is_short(old) and _is_short(new)):
        yield f"{_name(path)}: {_text(old)} -> {_text(new)}"
        return
    for key in dict.fromkeys([*before, *after]):
        if key in before and key in after:
            yield from _changed(before[key], after[key], (*path, key))
        elif key in after:
            yield from _whole(after[key], (*path, key), "+")
        else:
            yield from _whole(before[key], (*path, key), "-")


def _whole(value: Any, path: Path, sign: str) -> Iterator[str]:
    """Lines for a value that came or went; what is the default of its option goes without saying."""
    parts = _parts(value)
    if parts is None or _is_short(value):
        yield f"{sign} {_name(path)}: {_text(value)}"
        return
    fields = type(value).model_fields if isinstance(value, BaseModel) else {}
    lines = [
        line
        for key, part in parts.items()
        if key not in fields or part != fields[key].default
        for line in _whole(part, (*path, key), sign)
    ]
    yield from lines or [f"{sign} {_name(path)}"]


def _parts(value: Any) -> Mapping[Any, Any] | None:
    """The values inside a table or a list of tables; None for what is shown as one."""
    if isinstance(value, BaseModel):
        return {name: getattr(value, name) for name in type(value).model_fields}
    if isinstance(value, dict):
        return value
    if isinstance(value, tuple) and any(isinstance(item, (BaseModel, Secret)) for item in value):
        return dict(enumerate(value))
    return None


def _is_short(value: Any) -> bool:
    """Whether it is a target that would be written as "provider/model"."""
    if not isinstance(value, Target):
        return False
    fields = Target.model_fields
    said = [name for name in fields if getattr(value, name) != fields[name].default]
    return said == ["provider", "model"]


def _name(path: Path) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{path_text((part,))}"
    return text.removeprefix(".")


def _text(value: Any) -> str:
    if isinstance(value, Target):
        value = f"{value.provider}/{value.model}"
    return msgspec.json.encode(shown(value)).decode()

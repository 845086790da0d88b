"""Texts that stand for others: "${VARIABLE}" and "file:/path". Rule: a reference that leads nowhere is an error.

"$${" is a literal "${". Where no text is expected, the variable holds a TOML value: port = "${PORT}".
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path as File
from typing import Any

from gatemill.settings.errors import Path
from gatemill.settings.schema import is_secret, takes_text, type_at

SECRET_BYTES_MAX = 65_536
_REFERENCE = re.compile(r"\$(\$\{)|\$\{([^}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FILE = "file:"

Problem = tuple[Path, str]


def resolved(
    tree: Any, environ: Mapping[str, str] | None, problems: list[Problem], path: Path = ()
) -> Any:
    """The tree with references replaced; what leads nowhere stays and is added to `problems`.

    Without `environ` only files are read: values from the environment are not expanded again.
    """
    if isinstance(tree, dict):
        return {
            key: resolved(child, environ, problems, (*path, key)) for key, child in tree.items()
        }
    if isinstance(tree, list):
        return [
            resolved(child, environ, problems, (*path, index)) for index, child in enumerate(tree)
        ]
    if not isinstance(tree, str):
        return tree
    if tree.startswith(_FILE) and is_secret(path):
        return _from_file(tree, problems, path)
    return tree if environ is None else _expanded(tree, environ, problems, path)


def meaning(path: Path, text: str) -> Any:
    """`text` itself where a text is expected, otherwise what it means in TOML, if anything."""
    if type_at(path) is None or (takes_text(path) and not text.startswith('"')):
        return text
    try:
        return tomllib.loads(f"value = {text}", parse_float=Decimal)["value"]
    except tomllib.TOMLDecodeError:
        return text  # validation says what was expected


def _expanded(text: str, environ: Mapping[str, str], problems: list[Problem], path: Path) -> Any:
    def value(match: re.Match[str]) -> str:
        if match[1]:
            return match[1]
        name = match[2]
        if not _NAME.fullmatch(name):
            problems.append((path, f"${{{name}}} is not a variable; write $${{ for a literal ${{"))
        elif not environ.get(name):
            problems.append((path, f"the environment variable {name} is not set; export it"))
        else:
            return environ[name]
        return match[0]

    expanded = _REFERENCE.sub(value, text)
    return expanded if expanded == text or takes_text(path) else meaning(path, expanded)


def _from_file(text: str, problems: list[Problem], path: Path) -> str:
    file = File(text.removeprefix(_FILE))
    try:
        with file.open("rb") as stream:
            value = stream.read(SECRET_BYTES_MAX).decode().strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        problems.append((path, f"the secret file {file} cannot be read: {reason}"))
        return text
    if not value:
        problems.append((path, f"the secret file {file} is empty"))
        return text
    return value

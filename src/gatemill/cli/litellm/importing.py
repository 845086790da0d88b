"""One LiteLLM file -> one gatemill.toml and a report. Rule: what is written passes `gatemill check`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from gatemill.cli.litellm import deployments, options, ways
from gatemill.cli.litellm.draft import Draft
from gatemill.cli.litellm.reading import read
from gatemill.cli.litellm.writing import written
from gatemill.settings import ConfigErrors, load

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLACEHOLDER = "placeholder"  # of a variable that is not set yet
_URL, _PORT = "http://placeholder.example", "6379"


def drafted(file: Path) -> tuple[Draft, str]:
    """What comes of the file, and its text. Raises Failure."""
    tree = read(file)
    draft = Draft()
    deployments.carry(draft, tree)
    ways.carry(draft, tree)
    options.carry(draft, tree)
    draft.remarks.sort(key=lambda remark: (remark.file != str(file), remark.file, remark.line))
    return draft, written(draft, file.name)


def mistakes(draft: Draft, text: str, environ: Mapping[str, str]) -> list[str]:
    """What `gatemill check` has against it, once its variables are set."""
    missing = [name for name in draft.variables() if not environ.get(name)]
    stand_ins = {name: _stand_in(draft, name) for name in missing}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gatemill.toml"
        file.write_text(text, encoding="utf-8")
        try:
            load(file, {**environ, **stand_ins}, {}, lister=None)
        except ConfigErrors as error:
            return [str(one).replace(f"{folder}/", "") for one in error.errors]
    return []


def _stand_in(draft: Draft, name: str) -> str:
    """A value that fits where the variable stands."""
    start = f"${{{name}}}"
    if any(str(table.get("base_url", "")).startswith(start) for table in draft.providers.values()):
        return _URL
    if name.endswith("PORT"):
        return _PORT
    return "redis://placeholder" if name.endswith("REDIS_URL") else _PLACEHOLDER

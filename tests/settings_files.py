"""Loading a configuration text the way the command line does, without asking servers on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gatemill.local.builtin.cards import CARDS
from gatemill.settings import ConfigErrors, Loaded, load

# What is always there.
OWN = ["builtin", "local"]
OWN_MODELS = [f"builtin/{name}" for name in CARDS]


def loaded(folder: Path, text: str, environ: dict[str, str] | None = None, **flags: Any) -> Loaded:
    """The settings of a file named gatemill.toml; flags are named like `server__port`."""
    file = folder / "gatemill.toml"
    file.write_text(text, encoding="utf-8")
    paths = {name.replace("__", "."): value for name, value in flags.items()}
    return load(file, environ or {}, paths, lister=None)


def refused(folder: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    """The errors of a file, one text each, with the folder cut off."""
    with pytest.raises(ConfigErrors) as caught:
        loaded(folder, text, environ)
    return [str(error).replace(f"{folder}/", "") for error in caught.value.errors]

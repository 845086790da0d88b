"""Writes docs/settings.md from the models. A test compares the two; run it after changing an option."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from gatemill.settings import Settings, vendors
from gatemill.settings.environment import OTHERS
from gatemill.settings.schema import keys_at, type_at

TARGET = Path(__file__).parents[1] / "docs" / "settings.md"

HEAD = """\
# Settings

Made by `scripts/make_settings_doc.py` from the code; do not edit.

```toml
[server]
port = 9000

[providers.openai]
api_key = "${OPENAI_API_KEY}"
timeout = { connect_s = 3, total_s = 120 }

[models.fast]
targets = ["openai/gpt-5-mini"]
```

One TOML file: `--config`, else `$GATEMILL_CONFIG`, else `./gatemill.toml`; none is fine. A flag wins over the
environment, the environment over the file, the file over what was found, and that over the default.
`gatemill config show --origin` prints every value with its origin, `gatemill check` what is wrong,
`gatemill init` writes a file to start from, `gatemill config schema` helps editors.

- **Environment**: `GATEMILL_SERVER__PORT=9000` is `server.port`; two underscores part the levels. Values of options
  that are no text are written as in TOML. `GATEMILL_DATA_DIR` is `server.data_dir`. An unknown name is an error.
- **Secrets**: `"${VARIABLE}"` anywhere in a text, or `"file:/run/secrets/name"` for keys and headers. `$${` is a
  literal `${`. Secrets are printed as their last four characters.
- **Names**: a `*` in a model's name stands for any characters; a target `"provider/*"` then calls the name that was
  asked for. `provider/model` reaches any model directly.
- **Found**: a provider whose variable is set (table below) is added unless the file has that provider or kind, together
  with its usual model names. Ollama and vLLM on their usual ports of this machine are asked once, for 0.2 s.
  `server.discover = false` turns this off. The model `echo` is always there.
- **Units** are in the names: `_s` seconds, `_bytes` bytes. Prices are dollars per million tokens.
"""

OTHER_VARIABLES = {
    "GATEMILL_API_KEY": "key for `gatemill chat`",
    "GATEMILL_CONFIG": "the file",
    "GATEMILL_GOLDEN": "the test suite rewrites its golden files",
    "GATEMILL_REQUIRE_SERVICES": "the test suite fails where it would skip",
    "GATEMILL_TEST_HEAVY": "the test suite proves what needs torch, Ray, MLflow or Feast",
    "GATEMILL_TOKEN": "key of a server that a gateway has started ([local models](guides/local-models.md))",
    "GATEMILL_URL": "gateway for `gatemill chat`",
    "GATEMILL_CONSUME_FROM": "`--from` of `gatemill consume` and `gatemill doctor`",
    "GATEMILL_CONSUME_TO": "`--to` of both",
}


def document() -> str:
    """The whole page."""
    parts = [HEAD, *(_section(name) for name in keys_at(())), _kinds()]
    assert set(OTHER_VARIABLES) == OTHERS
    rows = [f"| `{name}` | {text} |" for name, text in OTHER_VARIABLES.items()]
    parts.append("\n".join(["## Other variables", "", "| name | use |", "| --- | --- |", *rows]))
    return "\n".join(parts) + "\n"


def _section(name: str) -> str:
    here = type_at((name,))
    path: tuple[str | int, ...] = (name,)
    title = f"[{name}]"
    if get_origin(here) is dict:
        path, title = (
            (name, "NAME"),
            f'[{name}."NAME"]' if name != "providers" else f"[{name}.NAME]",
        )
    lines = [f"## {title}", "", Settings.model_fields[name].description or "", ""]
    lines += ["| option | default | meaning |", "| --- | --- | --- |", *_rows(path, "")]
    return "\n".join(lines) + "\n"


def _rows(path: tuple[str | int, ...], prefix: str) -> list[str]:
    model = type_at(path)
    rows = []
    for name, field in model.model_fields.items():
        here = type_at((*path, name))
        text = field.description
        if get_origin(here) is Literal:
            text += " One of " + ", ".join(f"`{word}`" for word in get_args(here)) + "."
        default = "the name" if path[0] == "providers" and name == "kind" else _default(field)
        rows.append(f"| `{prefix}{name}` | {default} | {text} |")
        if isinstance(here, type) and issubclass(here, BaseModel):
            rows += _rows((*path, name), f"{prefix}{name}.")
        elif get_origin(here) is tuple and keys_at((*path, name, 0)):
            rows += _rows((*path, name, 0), f"{prefix}{name}[].")
    return rows


def _default(field: Any) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "required"
    if value is None or isinstance(value, BaseModel):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str):
        return f'`"{value}"`'
    if value in ((), {}):
        return "`[]`" if value == () else "`{}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _kinds() -> str:
    lines = ["## Kinds of providers", "", "Facts of `src/gatemill/data/compatible.toml`.", ""]
    lines += [
        "| kind | URL | variable | names when found | operations |",
        "| --- | --- | --- | --- | --- |",
    ]
    for vendor in vendors().values():
        cells = (
            f"`{vendor.kind}`",
            vendor.base_url
            or (f"yours, like {vendor.base_url_example}" if vendor.base_url_example else ""),
            " or ".join(f"`{name}`" for name in vendor.key_variables),
            ", ".join(f"`{pattern}`" for pattern in vendor.patterns),
            ", ".join(vendor.native) if vendor.native else "all of its dialect",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TARGET.write_text(document(), encoding="utf-8")
    sys.stdout.write(f"wrote {TARGET}\n")

"""`gatemill config import`: the new file, the report, the next steps. Rule: no file is overwritten."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatemill.cli.failure import Failure, Invalid
from gatemill.cli.litellm.importing import drafted, mistakes
from gatemill.cli.terminal import environment, note, paint, print_json, print_text

if TYPE_CHECKING:
    from gatemill.cli.litellm.draft import Draft

_STYLES = {"✗": "31", "!": "33"}


def import_file(file: Path, output: Path, *, as_json: bool) -> None:
    """The file is written, and what there is to say about it is said. Raises Failure."""
    prints = str(output) == "-"
    if not prints and output.exists():
        raise Failure(f"{output} exists already", fix="name another file with --output", code=2)
    draft, text = drafted(file)
    wrong = mistakes(draft, text, environment())
    if prints and not as_json:
        print_text(text.rstrip("\n"))
    elif not prints:
        _write(output, text)
    missing = [name for name in draft.variables() if not environment().get(name)]
    if as_json:
        print_json(_told(draft, "" if prints else str(output), missing))
    else:
        _show(draft, "" if prints else str(output), missing)
    if wrong:
        raise Invalid(wrong)


def _write(output: Path, text: str) -> None:
    """For its owner only, because keys may stand in it."""
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise Failure(f"{output} cannot be written: {error.strerror}", fix="--output") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)


def _told(draft: Draft, output: str, missing: list[str]) -> dict[str, object]:
    return {
        "file": output or None,
        "deployments": draft.deployments,
        "carried": draft.carried,
        "providers": len(draft.providers),
        "models": len(draft.models),
        "variables_missing": missing,
        "remarks": [
            {
                "left_out": remark.mark == "✗",
                "file": remark.file,
                "line": remark.line,
                "path": remark.path,
                "text": remark.text,
            }
            for remark in draft.remarks
        ],
    }


def _show(draft: Draft, output: str, missing: list[str]) -> None:
    for remark in draft.remarks:
        mark = paint(remark.mark, _STYLES[remark.mark], sys.stderr)
        note(f"{mark}{str(remark).removeprefix(remark.mark)}")
    left = sum(remark.mark == "✗" for remark in draft.remarks)
    note(
        f"{draft.carried} of {draft.deployments} deployments carried over:"
        f" {_counted(draft.models, 'model')}, {_counted(draft.providers, 'provider')}."
        f" Left out ✗ {left}, not quite the same ! {len(draft.remarks) - left}."
    )
    if missing:
        note(f"Set before the start: {', '.join(missing)}")
    if output:
        note(f"Next: gatemill check {output} --live, then gatemill serve --config {output}")
        note("Keys are made anew: gatemill keys create NAME --admin")


def _counted(table: dict[str, Any], noun: str) -> str:
    return f"{len(table)} {noun}" + ("" if len(table) == 1 else "s")

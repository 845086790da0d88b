"""The key of the first start, as the gateway left it. Rule: read, never written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.cli.failure import Failure

if TYPE_CHECKING:
    from pathlib import Path


def dev_key(data_dir: Path) -> str:
    """The development key; "" when there is none, which the gateway will complain about."""
    file = data_dir / "dev.key"
    try:
        return file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"cannot read {file}: {error}", fix="--key") from error

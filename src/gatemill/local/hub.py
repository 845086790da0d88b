"""Models of a hub that speaks Hugging Face's API. Rule: a commit, never a branch; weights, never code."""

from __future__ import annotations

import re
from pathlib import Path

from gatemill.core.errors import ModelLoadFailed
from gatemill.local.extras import needed
from gatemill.local.manifest import SETTINGS

_SOURCE = re.compile(r"(\w[\w.-]*/\w[\w.-]*)@([0-9a-f]{40})")


def fetch(named: str, weights: tuple[str, ...], kept: Path, limits: tuple[int, str]) -> Path:
    """The folder of `owner/name@commit`; the hub is asked only for what is not here yet.

    `weights` are the names that files of weights end in. `limits` are the most bytes, and the hub's
    URL where it is not the usual one. Raises ModelLoadFailed, ExtraNotInstalled.
    """
    size_bytes_max, endpoint = limits
    match = _SOURCE.fullmatch(named)
    if match is None:
        raise ModelLoadFailed(
            f"`hf:{named[:200]}` does not say which commit: write hf:owner/name@ and its 40 hex digits,"
            " which the hub shows in the list of commits."
        )
    library = needed("huggingface_hub", "local")
    errors = needed("huggingface_hub.errors", "local")
    wanted = {
        "repo_id": match[1],
        "revision": match[2],
        "cache_dir": kept,
        "allow_patterns": [f"*{suffix}" for suffix in (*SETTINGS, *weights)],
        "endpoint": endpoint or None,
    }
    # Written when all of it is here.
    marker = kept / "--".join((*match[1].split("/"), match[2], *weights)).replace("/", "-")
    try:
        if marker.is_file():
            return Path(library.snapshot_download(**wanted, local_files_only=True))
        size_bytes = sum(
            file.file_size for file in library.snapshot_download(**wanted, dry_run=True)
        )
        if size_bytes > size_bytes_max:
            raise ModelLoadFailed(
                f"`{named}` has {size_bytes:,} bytes, more than the {size_bytes_max:,} of"
                " serving.source_bytes."
            )
        folder = Path(library.snapshot_download(**wanted))
        marker.touch()
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ModelLoadFailed(f"`{named}` could not be fetched: {reason[:300]}") from error
    return folder

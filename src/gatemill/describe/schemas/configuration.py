"""What the control routes of the configuration answer."""

from __future__ import annotations

from gatemill.describe.words import Json, array, flag, obj, string, whole, word

_VERSION = string("Twelve hex digits, as in the header x-gatemill-config.")
_LINE = {"type": "string"}

SCHEMAS: dict[str, Json] = {
    "Reload": obj(
        "What became of a reload.",
        {
            "outcome": word("Whether something changed.", "ok", "unchanged"),
            "dry_run": flag("Nothing was changed: this is what a reload would do."),
            "version": _VERSION,
            "changes": array("What differs, a line each; secrets are masked.", _LINE),
            "needs_restart": array("Differs in the file, and takes a restart.", _LINE),
            "workers": whole("Processes that do the same now.", least=1),
        },
    ),
    "ConfigVersions": obj(
        "Configurations that took effect.",
        {
            "version": _VERSION,
            "data": array(
                "The newest first.",
                obj(
                    "One of them.",
                    {
                        "number": whole("For `gatemill config rollback`.", least=1),
                        "version": string(
                            "As above; `unapplied` for one that was replaced before."
                        ),
                        "applied_at": whole("Unix time."),
                    },
                ),
            ),
        },
    ),
}

"""How targets are, as this process sees them. Rule: no secret, not even the end of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatemill.edge.pages.frame import Visit

STATES = ("closed", "half-open", "open")
TARGETS_MAX = 200  # that are shown; those in trouble first


def targets(visit: Visit) -> list[dict[str, Any]]:
    """Every target that was tried or is configured, those in trouble first."""
    reloader = visit.shown.reloader
    if reloader is None:
        return []
    now_s = visit.gateway.now()
    found: list[dict[str, Any]] = []
    for one in reloader.home.lasting.lanes.metrics(now_s):
        if one.label.endswith("/*"):
            continue  # stands for names that only a pattern knows; each of these has a lane of its own
        resting = one.keys > 0 and one.keys_resting == one.keys
        trouble = one.state * 2 + resting * 2 + (one.waiting > 0)
        found.append(
            {
                "label": one.label,
                "provider": one.label.partition("/")[0],
                "state": STATES[one.state],
                "tone": "bad" if one.state == 2 or resting else "warn" if trouble else "",
                "opens_in_s": one.opens_s if one.state else None,
                "in_flight": one.in_flight,
                "limit": one.limit,
                "waiting": one.waiting,
                "latency_ms": one.latency_s * 1e3 or None,
                "keys": one.keys,
                "keys_resting": one.keys_resting,
                "opened": one.opened,
                "retries": one.retries,
                "queue_full": one.queue_full,
                "error": one.error,
                "error_at": visit.now_s - one.error_s if one.error else None,
                "trouble": trouble,
            }
        )
    found.sort(key=lambda one: (-one["trouble"], one["label"]))
    return found[:TARGETS_MAX]

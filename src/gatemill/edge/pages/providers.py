"""/ui/providers: how those are who answer for us. Rule: states are this process's own; usage is everybody's."""

from __future__ import annotations

from collections import Counter
from typing import Any

from gatemill.edge.pages import health, ranges, traffic
from gatemill.edge.pages.frame import Data, Page, Visit
from gatemill.ledger.trends import Window, spread

_DAY = ranges.ALL[2]


async def _data(visit: Visit) -> Data:
    window = Window.ending(visit.now_s, _DAY.span_s, _DAY.step_s)
    await visit.ledger.flushed()
    lines = await visit.ledger.trends.usage(window, by_provider=True)
    used = traffic.by(lines, "provider")
    steps = traffic.by(lines, "provider", "start_s")
    times: dict[str, list[Counter[int]]] = {}
    for (_, provider), each in (await visit.ledger.trends.targets(window)).items():
        times.setdefault(provider, []).append(each)
    targets = health.targets(visit)
    names = {one["provider"] for one in targets} | {name for name in used if name}
    return {
        "since": window.since_s,
        "times": window.starts,
        "providers": [
            {
                "name": name,
                **_usage(used.get(name, traffic.Sum())),
                "p95_ms": spread(times.get(name, [])).p95_ms,
                "attempts_by_hour": [
                    steps.get((name, at), traffic.Sum()).attempts for at in window.starts
                ],
                "targets": [one for one in targets if one["provider"] == name],
            }
            for name in sorted(names)
        ],
    }


def _usage(whole: traffic.Sum) -> dict[str, Any]:
    prompt = whole.input_tokens + whole.cache_read_tokens + whole.cache_write_tokens
    return {
        "attempts": whole.attempts,
        "failed": whole.attempts_failed,
        "failed_share": whole.attempts_failed_share,
        "tokens": prompt + whole.generated_tokens,
        "cost_microusd": whole.cost_microusd,
        "unpriced": whole.unpriced,
    }


PAGE = Page("/ui/providers", "Providers", "providers.html", _data)

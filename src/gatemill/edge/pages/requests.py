"""/ui/requests: what was asked for, and what became of each request.

Rule: a page of the list costs what ledger/requests.py allows; a request is found by its id alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatemill.core.errors import NotFound
from gatemill.edge.admin.requests import SEARCH, search
from gatemill.edge.pages.frame import Data, Page, Visit
from gatemill.gateway import explain
from gatemill.ledger.keys import Search

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.call import UsageRow

LIMIT = 50
KEYS_MAX = 200  # that the filter offers, the newest
STATUSES = ("ok", "error", "4xx", "5xx")
_REQUESTS = "/ui/requests"


async def _list(visit: Visit) -> Data:
    asked = visit.asked
    await visit.ledger.flushed()
    request_id = asked.text("id").strip()
    said: Data = {"asked": {name: asked.text(name) for name in (*SEARCH, "id")}}
    said |= {"statuses": STATUSES, "models": _models(visit), "providers": _providers(visit)}
    known = await visit.ledger.reports.keys(Search(KEYS_MAX, visit.now_s))
    said["keys"] = [{"id": one.key.id, "name": one.key.name} for one in known]
    if request_id:
        rows = (await visit.ledger.reports.request(request_id))[::-1]
        return said | {"rows": _listed(visit, rows), "newer": None, "older": None, "to": None}
    wanted = search(asked, visit.now_s, await _key_id(visit, asked.text("key").strip()), LIMIT)
    found = await visit.ledger.reports.requests(wanted)
    return said | {
        "rows": _listed(visit, found.rows),
        "newer": None if found.newer is None else found.newer.text,
        "older": None if found.older is None else found.older.text,
        "to": found.looked_to_s,  # how far the search came, where it did not see everything
    }


async def _key_id(visit: Visit, text: str) -> str:
    """The id of a key that is named by its id, or by a name that only one has."""
    if not text or visit.ledger.keys.by_id(text) is not None:
        return text
    alike = await visit.ledger.reports.keys(Search(KEYS_MAX, visit.now_s, text))
    found = [one.key.id for one in alike if one.key.name == text]
    return found[0] if len(found) == 1 else text


def _models(visit: Visit) -> list[str]:
    return sorted(visit.gateway.routes.exact)


def _providers(visit: Visit) -> list[str]:
    routes = visit.gateway.routes.exact.values()
    return sorted({target.provider for route in routes for target in route.targets})


def _listed(visit: Visit, rows: Sequence[UsageRow]) -> list[Data]:
    return [
        {
            "id": row.request_id,
            "attempt": row.attempt,
            "at": row.at,
            "key_id": row.key_id,
            "key": key_name(visit, row.key_id),
            "model": row.model,
            "target": label(row),
            "stream": row.stream,
            "status": row.status,
            "error": row.error,
            "cache": row.cache,
            "prompt_tokens": row.prompt_tokens,
            "completion_tokens": row.completion_tokens,
            "cost_microusd": row.cost_microusd,
            "latency_ms": row.latency_ms,
            "first_token_ms": row.first_token_ms,
        }
        for row in rows
    ]


def key_name(visit: Visit, key_id: str) -> str:
    """What a key is called; its id where it is not known any more."""
    key = visit.ledger.keys.by_id(key_id)
    return key_id if key is None else key.name


def label(row: UsageRow) -> str:
    """Where an attempt went; "" for an answer that nobody was asked for."""
    return f"{row.provider}/{row.target_model}" if row.provider else ""


async def _detail(visit: Visit, request_id: str) -> Data:
    await visit.ledger.flushed()
    rows = await visit.ledger.reports.request(request_id)
    if not rows:
        raise NotFound(
            "There is no request with this id. It stands in the header x-request-id, and is kept for"
            " stores.usage_retention_days days.",
            param="id",
        )
    last = rows[-1]
    attempts = _attempts(rows)
    base = str(visit.request.base_url).rstrip("/")
    return {
        "title": "Request",
        "id": last.request_id,
        "at": last.at,
        "key": key_name(visit, last.key_id),
        "explanation": explain.past(rows),
        "attempts": attempts,
        "total_ms": max(each["offset_ms"] + each["latency_ms"] for each in attempts),
        "cost_microusd": _sum(rows),
        "is_unsettled": any(row.unsettled for row in rows),
        "job_id": last.job_id,
        "trace_id": last.trace_id,
        "trace_url": _trace_url(visit, last.trace_id),
        "explain_url": f"{base}/api/v1/requests/{last.request_id}/explain",
    }


def _attempts(rows: Sequence[UsageRow]) -> list[Data]:
    told: list[Data] = []
    end_ms = 0.0
    for row in rows:
        # Rows of before 0.2 do not say when they began: one after the other, then.
        offset_ms = row.offset_ms or end_ms
        end_ms = offset_ms + row.latency_ms
        told.append(
            {
                "attempt": row.attempt,
                "target": label(row) or row.cache or "this gateway",
                "status": row.status,
                "error": row.error,
                "offset_ms": offset_ms,
                "latency_ms": row.latency_ms,
                "first_token_ms": row.first_token_ms,
                "tokens": _tokens(row),
                "estimated": row.estimated,
                "cost_microusd": row.cost_microusd,
            }
        )
    return told


def _tokens(row: UsageRow) -> dict[str, int]:
    """By kind; those that there are."""
    kinds = {
        "input": row.input_tokens,
        "cache read": row.cache_read_tokens,
        "cache write": row.cache_write_tokens,
        "audio in": row.input_audio_tokens,
        "output": row.output_tokens,
        "reasoning": row.reasoning_tokens,
        "audio out": row.output_audio_tokens,
    }
    return {name: count for name, count in kinds.items() if count}


def _sum(rows: Sequence[UsageRow]) -> int | None:
    costs = [row.cost_microusd for row in rows]
    return None if None in costs else sum(cost or 0 for cost in costs)


def _trace_url(visit: Visit, trace_id: str) -> str:
    reloader: Any = visit.shown.reloader
    if reloader is None or not trace_id:
        return ""
    template: str = reloader.settings.telemetry.trace_url
    return template.replace("{trace_id}", trace_id)


PAGE = Page(_REQUESTS, "Requests", "requests.html", _list, (*SEARCH, "id"))
DETAIL = Page(f"{_REQUESTS}/{{request_id}}", "Request", "request.html", _detail, hidden=True)

"""Budgets, usage, and explanations."""

from __future__ import annotations

from gatemill.describe.schemas.admin import listing
from gatemill.describe.words import (
    Json,
    array,
    flag,
    mapping,
    number,
    obj,
    or_null,
    ref,
    string,
    whole,
    word,
)

_USD = "Dollars with six decimals."
_SCOPE = word("Whose it is.", "key", "user", "team", "model")
_MS = or_null(number("Milliseconds; null when it never happened.", least=0))


def _spread(about: str) -> Json:
    return obj(about, {"mean_ms": _MS, "p50_ms": _MS, "p95_ms": _MS, "p99_ms": _MS})


def _shares(about: str) -> Json:
    share = obj("How often.", {"name": string("What."), "times": whole("How often.", least=1)})
    return array(about, share)


_PERCENTILES = (
    " Percentiles of up to 10,000 attempts are exact; of more they are off by at most 12 %. Where a key, user or"
    " team is asked for they are those of the newest 10,000; so are those of a model or provider for less than 24"
    " hours, and their first tokens."
)
_COUNTS: dict[str, Json] = {
    name: whole(about, least=0)
    for name, about in {
        "input_tokens": "Prompt tokens, neither read from nor written to a prompt cache.",
        "cache_read_tokens": "Prompt tokens read from a provider's cache.",
        "cache_write_tokens": "Prompt tokens written to it.",
        "input_audio_tokens": "Prompt tokens of sound.",
        "output_tokens": "Tokens of visible answers.",
        "reasoning_tokens": "Tokens of reasoning.",
        "output_audio_tokens": "Tokens of spoken answers.",
        "unpriced": "Attempts whose cost is not known, and not in the sum.",
        "estimated": "Attempts whose tokens we counted, because the provider did not.",
    }.items()
}
_TARGET = string("provider/model; empty when none was asked.")
_CANDIDATE = obj(
    "One that was weighed.",
    {"target": _TARGET},
    {
        "score": or_null(number("What it was weighed by: weight, seconds or micro-dollars.")),
        "note": string("Why it stands at the end."),
    },
)
_COMPLEXITY = or_null(mapping("How hard the prompt seemed, where that decided."))
_WHO = obj(
    "The key.",
    {
        "id": string("Its id."),
        "user_id": string("Whose it is; may be empty."),
        "team_id": string("Whose limits it shares; may be empty."),
    },
    {"name": string("For people.")},
)

SCHEMAS: dict[str, Json] = {
    "Budget": obj(
        "One budget in its present period.",
        {
            "object": word("Kind of this object.", "budget"),
            "scope": _SCOPE,
            "id": string("The id of the key, user or team, or the model's name."),
            "period": word("Calendar period, UTC.", "day", "week", "month", "total"),
            "limit_usd": string(_USD),
            "spent_usd": string("Of requests that are over, in dollars."),
            "held_usd": string("Set aside for requests under way, in dollars."),
            "left_usd": string("What a new request may need, in dollars."),
            "hard": flag("Requests are refused beyond it."),
            "alert_at": array("Shares at which somebody is told.", {"type": "number"}),
            "starts_at": whole("Unix time at which the period began; 0 for `total`.", least=0),
            "ends_at": or_null(whole("Unix time at which it ends; null for `total`.")),
        },
    ),
    "BudgetList": listing("Budgets.", "Budget"),
    "LimitLevel": obj(
        "One limit.",
        {
            "object": word("Kind of this object.", "limit"),
            "scope": _SCOPE,
            "id": string("The id of the key, user or team, or the model's name."),
            "limit": string("Its name, as in `Limits`."),
            "most": whole("Requests or tokens.", least=0),
            "used": whole("Of these, used in the window.", least=0),
            "held": whole("Of these, held by requests under way.", least=0),
            "left": whole("What a new request may need.", least=0),
        },
    ),
    "LimitList": obj(
        "All limits that a key has to pass.",
        {
            "object": word("Kind of this object.", "limits"),
            "key": string("The key's id."),
            "data": array(
                "The key's, its user's, its team's, and those of the models it may call.",
                {"anyOf": [ref("LimitLevel"), ref("Budget")]},
            ),
        },
    ),
    "UsageReport": obj(
        "Usage, added up.",
        {
            "object": word("Kind of this object.", "usage"),
            "since": string("From this moment on."),
            "until": string("Before this moment."),
            "data": array("By time, then the dearest first.", ref("UsageLine")),
        },
    ),
    "UsageLine": obj(
        "One sum. Before these stand the fields of `by`: `key_id`, `user_id`, `team_id`, `model`,"
        " `provider`, `target_model`, `operation`, `version`, `cache`, `minute`, `hour`, `day`.",
        {
            "requests": whole("Requests.", least=0),
            "attempts": whole("Attempts at providers, and answers from the cache.", least=0),
            "failed": whole("Of these, failed.", least=0),
            "prompt_tokens": whole("All prompt tokens.", least=0),
            "cache_read_tokens": _COUNTS["cache_read_tokens"],
            "completion_tokens": whole("All generated tokens.", least=0),
            "reasoning_tokens": _COUNTS["reasoning_tokens"],
            "cost_usd": string(_USD),
            "unpriced": _COUNTS["unpriced"],
            "estimated": _COUNTS["estimated"],
            "mean_latency_ms": _MS,
        },
    ),
    "UsageSummary": obj(
        "The last hours at a glance.",
        {
            "object": word("Kind of this object.", "usage_summary"),
            "hours": whole("How far back.", least=1),
            "cost_usd": string(_USD),
            "requests": whole("Requests.", least=0),
            "attempts": whole("Attempts at providers, and answers from the cache.", least=0),
            "success_rate": or_null(number("Of the requests.", least=0, most=1)),
            "latency": _spread("Of attempts that succeeded." + _PERCENTILES),
            "first_token": _spread("Until the first piece came." + _PERCENTILES),
            **_COUNTS,
            "cache_hits": whole("Requests that no provider had to answer.", least=0),
            "errors": _shares(
                "The most common errors, of the newest 10,000 attempts of all keys that failed."
            ),
            "models": _shares("The models that were asked for most."),
            "operations": _shares("What was asked for most."),
        },
    ),
    "AttemptList": obj(
        "Attempts.",
        {
            "object": word("Kind of this object.", "list"),
            "data": array("The entries.", ref("Attempt")),
            "has_more": flag("There may be more in the direction that was asked for."),
            "before": or_null(string("Send it as `before` for older ones; null: there are none.")),
            "after": or_null(
                string("Send it as `after` for newer ones; null: these are the newest.")
            ),
            "searched_to": or_null(
                number("How far the search came before it had looked at enough, in Unix time.")
            ),
        },
    ),
    "Attempt": obj(
        "One attempt at a provider, or an answer from the cache.",
        {
            "object": word("Kind of this object.", "attempt"),
            "request_id": string("Of the request."),
            "attempt": whole("1 is the first.", least=1),
            "at": number("When the request came, in seconds of Unix time."),
            "key_id": string("Who asked."),
            "user_id": string("Whose key that is; may be empty."),
            "team_id": string("Their team; may be empty."),
            "operation": string("What was asked for."),
            "model": string("As the caller named it."),
            "target": _TARGET,
            "version": string("The experiment's arm; may be empty."),
            "stream": flag("It was a stream."),
            "status": whole("What a caller would see if this were the last one."),
            "error": or_null(string("A code; null when it succeeded.")),
            "cache": or_null(word("How it was answered here.", "hit", "stale", "coalesced")),
            "prompt_tokens": whole("All prompt tokens.", least=0),
            "completion_tokens": whole("All generated tokens.", least=0),
            "cost_usd": or_null(string("Dollars; null when the price is not known.")),
            "latency_ms": number("Until its last byte.", least=0),
            "first_token_ms": _MS,
            "offset_ms": number("When it began, after the request had come.", least=0),
            "job_id": or_null(string("The job on whose behalf it was made.")),
            "trace_id": or_null(string("The trace it belongs to.")),
        },
    ),
    "AccessLines": obj(
        "The newest requests of one process.",
        {
            "object": word("Kind of this object.", "list"),
            "data": array("The oldest first.", ref("AccessLine")),
            "next": string("Send it as `after`."),
            "instance": string("Whose lines these are; another one after each start."),
            "workers": whole("Processes that answer at this address.", least=1),
            "missed": whole("Lines that made room for newer ones since `after`.", least=0),
        },
    ),
    "AccessLine": obj(
        "One request, as the access log has it.",
        {
            "number": whole("Of the line, in its process.", least=1),
            "ts": number("When the request came, in seconds of Unix time."),
            "request_id": string("Of the request."),
            "status": whole("What the caller got."),
            "operation": string("What was asked for."),
            "model": string("As the caller named it."),
            "target": _TARGET,
            "key": string("Who asked; empty where nobody was known."),
            "duration_ms": number("Until its last byte.", least=0),
            "ours_ms": number("Of that, not spent waiting for a provider."),
            "first_token_ms": _MS,
            "attempts": whole("Attempts at providers.", least=0),
            "input_tokens": whole("All prompt tokens.", least=0),
            "output_tokens": whole("All generated tokens.", least=0),
            "cost_microusd": or_null(whole("Millionths of a dollar; null: not known.", least=0)),
            "stream": flag("It was a stream."),
            "error": string("A code; empty when it succeeded."),
            "client_request_id": string("What the caller calls it; may be empty."),
            "retries": whole("How often the caller's SDK had tried before.", least=0),
            "cache": string("`hit`, `stale`, `coalesced`, `miss`; empty where nothing is kept."),
            "version": string("The experiment's arm; may be empty."),
            "guards": array(
                "What guards found: side, guard, kind, mode, places, characters.",
                array("One finding.", {"type": ["string", "integer"]}),
            ),
            "trace_id": string("The trace it belongs to; may be empty."),
        },
    ),
    "PastExplanation": obj(
        "What became of a request.",
        {
            "object": word("Kind of this object.", "explanation"),
            "request_id": string("Of the request."),
            "at": number("When it came, in seconds of Unix time."),
            "operation": string("What was asked for."),
            "key": _WHO,
            "model": string("As the caller named it."),
            "target": string("provider/model that was asked last; empty when none was."),
            "version": string("The experiment's arm; may be empty."),
            "reason": string("Why this target."),
            "candidates": array("What was weighed.", _CANDIDATE),
            "complexity": _COMPLEXITY,
            "cache": or_null(word("How it was answered here.", "hit", "stale", "coalesced")),
            "findings": array("What guards found: kinds and counts.", mapping("A finding.")),
            "attempts": array("Each attempt, in order.", mapping("One attempt.")),
            "cost_usd": or_null(string("Of all attempts; null when a price is not known.")),
            "outcome": ref("ExplainedOutcome"),
        },
    ),
    "ExplainedRequest": mapping("The body of any inference request: whatever you would send."),
    "ExplainedOutcome": obj(
        "How it ends.",
        {
            "status": whole("The HTTP status."),
            "code": or_null(string("The error's code; null when it is none.")),
        },
        {
            "message": string("What is wrong and what to do."),
            "param": or_null(string("The field at fault.")),
            "retry_after_s": or_null(number("Seconds to wait.", least=0)),
            "waits_first": flag("It would wait for money that others hold before it is refused."),
            "from": word("Who would answer.", "provider", "cache"),
            "target": string("provider/model that would be asked first."),
            "cache": or_null(word("The header x-gatemill-cache.", "hit", "miss", "stale")),
            "unsupported": array(
                "Parameters that the target has no place for.", {"type": "string"}
            ),
        },
    ),
    "Explanation": obj(
        "What would become of a request. What was not reached is absent.",
        {
            "object": word("Kind of this object.", "explanation"),
            "request_id": string("Of this question."),
            "seed": string("What weighted choices depend on: your x-request-id, else ours."),
            "config": string("Version of the configuration."),
            "operation": string("What the body was taken for."),
            "key": _WHO,
            "outcome": ref("ExplainedOutcome"),
        },
        {
            "model": string("As the body names it."),
            "route": string("The configured name that answers to it."),
            "model_version": string("Of a model of the registry: `mood:3`."),
            "prompt_version": string("Of the prompt that would be filled in: `greet:3`."),
            "leads_to": or_null(string("The model that an arm or the complexity led to.")),
            "target": string("provider/model that stands first."),
            "version": string("The experiment's arm; may be empty."),
            "reason": string("Why this target."),
            "candidates": array("What was weighed.", _CANDIDATE),
            "targets": array("In the order of trying, and their state.", mapping("A target.")),
            "complexity": _COMPLEXITY,
            "shadow": or_null(string("A model that gets a copy.")),
            "guards": array("What looks at the texts, on the way in and out.", mapping("A guard.")),
            "findings": array(
                "What the guards here find in the request: kinds and counts.", mapping("A finding.")
            ),
            "tokens": mapping("Of the prompt, estimated and at most; of the answer, at most."),
            "cost_usd": mapping(
                "Of one attempt that succeeds: `least`, `expected` and `most`; null where nobody knows."
            ),
            "limits": array("What has to be passed, and what is left.", mapping("A limit.")),
            "cache": mapping("`state` (off, never, absent, fresh, stale), key and age."),
        },
    ),
}

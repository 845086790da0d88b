"""Writes docs/errors.md, docs/metrics.md and the answers in data/openapi/examples.json.

Rule: nothing is said by hand that the code knows. A test compares the documents, another one sends
the examples; run this after changing an error, a metric or an answer.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from gatemill import __version__
from gatemill.core import errors
from gatemill.describe import refusals
from gatemill.jobs.making import new_job
from gatemill.ledger.alerts import Alert
from gatemill.observe import metrics
from gatemill.wire import failures

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client.core import Metric

    from gatemill.core.errors import GatemillError
    from gatemill.house import House

ROOT = Path(__file__).parents[1]
ERRORS = ROOT / "docs" / "errors.md"
METRICS = ROOT / "docs" / "metrics.md"
sys.path.insert(0, str(ROOT / "tests"))  # where a whole house for one process is

import openapi_examples
from house_for_tests import opened
from running import serve

ERRORS_HEAD = """\
# Errors

Made by `scripts/make_reference.py` from the code; do not edit.

A refused request looks like this on `/v1/*`; switch on `code`, the message is for people:

```json
{openai}
```

On `/v1/messages` it is Anthropic's object, whose `type` stands in the table:

```json
{anthropic}
```

On `/api/*` it is a problem of RFC 9457:

```json
{problem}
```

- A **request id** is in every error and in every answer of a model: in the header `x-request-id`, and in the log.
- **Retry**: what the SDKs of OpenAI and Anthropic do by themselves. Where the status alone would lead them astray,
  the header `x-should-retry` says it. `retry-after` and `retry-after-ms` say when, as far as somebody knows.
- **Streams** that fail before their first content are answered with the status here. After it the status has left: one
  last event carries the same error, and there is no `[DONE]`.
- **401** means that your key is wrong and nothing else. A key of ours that a provider refuses is a 502.

| code | status | type | type on `/v1/messages` | SDKs retry | meaning | what to do |
| --- | --- | --- | --- | --- | --- | --- |
"""
ERRORS_UNSENT = """
## Codes that are no answer

| code | status | where | meaning | what to do |
| --- | --- | --- | --- | --- |
"""
_WHERE = {
    "client_closed_request": "log, ledger, metrics",
    "start_refused": "terminal",
}

METRICS_HEAD = """\
# Metrics

Made by `scripts/make_reference.py` from the code; do not edit.

```bash
curl -s http://127.0.0.1:8700/metrics
```

Prometheus' text format. On loopback it needs no key; on a public address it needs an admin key. Label values are
configured names or codes of ours, so callers cannot make series; beyond {series_max} of them `model` is `{other}`.

Two questions they answer:

```promql
# How much of the time is ours: the 99th percentile, in seconds.
histogram_quantile(0.99, sum by (le) (rate(gatemill_overhead_seconds_bucket[5m])))
# The share of tries that failed, by provider.
sum by (provider) (rate(gatemill_attempts_total{{outcome!="ok"}}[5m])) / sum by (provider) (rate(gatemill_attempts_total[5m]))
```

| metric | type | unit | labels | meaning |
| --- | --- | --- | --- | --- |
"""
# What is exported only where it is configured.
_CONFIG = """
[alerts]
webhook = "http://127.0.0.1:9/hook"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""
_LABELS = {
    "level": "of a budget warned, or spent when all of it is",
    "name": "of a rule of [alerts], such as BreakerOpen",
    "limit": "kinds of limits: concurrency, requests, requests_day, tokens, budget",
    "scope": "whose limit: key, user, team, model",
    "target": "`provider/model` of the configuration, `function/name` of the library, or `other`",
    "code": "public code of an error, see errors.md",
    "config": "version of the configuration",
    "direction": ", ".join(f"`{kind}`" for kind in metrics.TOKEN_KINDS),
    "model": "name in [models], or its pattern; empty when none was found; of `gatemill_local_*` the name in [local], or the version",
    "engine": "who runs a model here: onnx, head, torch, command",
    "kind": "kind of job, `other` beyond 200 of them",
    "operation": "the surface: `chat`, `messages`, `embeddings` ...",
    "outcome": "of a try at a provider `ok`, or the code of the error; of an attempt of a job succeeded, retried, dead, postponed, released, cancelled, waiting or refused; of a webhook `2xx` to `5xx`, postponed or the code of the error",
    "part": "of a search: embedder or reranker",
    "priority": "high, default or low",
    "reason": "why a feature got its default: late, failed, refused",
    "provider": "name in [providers]; empty when none was asked",
    "queue": "queue of a kind; `other` beyond 100 of them",
    "state": "of a job scheduled, queued or running; of a model that runs here unloaded, loading, ready, failed or unloading",
    "status": "HTTP status that the caller got",
    "version": "of Gatemill",
}
_UNITS = {"_seconds": "seconds", "_usd": "dollars", "_tokens": "tokens"}


def errors_page() -> str:
    """docs/errors.md."""
    shown = errors.InvalidValue("`n`: Expected `int` >= 1. Send it so.", param="n")
    formats = {
        family: msgspec.json.format(failures.body(shown, family, refusals.EXAMPLE_ID), indent=2)
        for family in ("openai", "anthropic", "problem")
    }
    page = ERRORS_HEAD.format(**{name: text.decode() for name, text in formats.items()})
    kinds = sorted(refusals.public(), key=lambda kind: kind.status)
    page += "".join(_error_row(kind) for kind in kinds if kind.code not in refusals.UNSENT)
    unsent = [kind for kind in kinds if kind.code in refusals.UNSENT]
    return page + ERRORS_UNSENT + "".join(_unsent_row(kind) for kind in unsent)


def _error_row(kind: type[GatemillError]) -> str:
    retry = "yes" if refusals.sdks_retry(kind) else "no"
    said = (kind.type, kind.anthropic_type, retry, refusals.meaning(kind))
    return _row(f"`{kind.code}`", str(kind.status), *said, refusals.REMEDIES[kind.code])


def _unsent_row(kind: type[GatemillError]) -> str:
    said = (_WHERE[kind.code], refusals.meaning(kind), refusals.REMEDIES[kind.code])
    return _row(f"`{kind.code}`", str(kind.status), *said)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |\n"


async def metrics_page(folder: Path) -> str:
    """docs/metrics.md, read from a running house that has counted one of everything."""
    async with opened(folder, _CONFIG) as house:
        meter = house.home.gateway.meter
        meter.series("chat", "model", "provider", 200).requests += 1
        meter.error("code")
        meter.attempt("provider", "ok")
        meter.unpriced("provider")
        house.home.gateway.admission.refusals["key", "requests"] = 1
        await _use_jobs(house.home)
        await meter.refresh()
        text = metrics.page(meter, __version__, "config").decode()
    families = sorted(text_string_to_metric_families(text), key=lambda family: family.name)
    page = METRICS_HEAD.format(series_max=f"{metrics.SERIES_MAX:,}", other=metrics.OTHER)
    page += "".join(_metric_row(family) for family in families)
    page += "\n## Labels\n\n| label | values |\n| --- | --- |\n"
    used = sorted({label for family in families for label in _labels(family)})
    page += "".join(_row(f"`{label}`", _LABELS[label]) for label in used)
    page += "\n## Buckets\n\n| histogram | upper bounds |\n| --- | --- |\n"
    return page + "".join(_bucket_rows(families))


async def _use_jobs(home: House) -> None:
    """A job waits, an attempt was counted, and a webhook; a budget is nearly spent."""
    services = home.jobs.services
    services.sender.tries["2xx"] += 1
    home.jobs.counters.kind("chat.completion")
    job = new_job(services, "chat.completion", b"{}", owner="nobody", key_id="")
    await home.ledger.jobs.submit([job], 1, 1)
    total = Alert("key", "k1", "total", 0.0, 0.8, 5_000_000, 4_000_000, 0.0)
    await home.ledger.alerts.add_alert(total)


def _metric_row(family: Metric) -> str:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    unit = next((unit for end, unit in _UNITS.items() if family.name.endswith(end)), "")
    labels = ", ".join(f"`{label}`" for label in _labels(family))
    return _row(f"`{name}`", family.type, unit, labels, family.documentation)


def _labels(family: Metric) -> list[str]:
    found = {label for sample in family.samples for label in sample.labels}
    return sorted(found - {"le"})


def _bucket_rows(families: Iterable[Metric]) -> Iterator[str]:
    for family in families:
        bounds = [sample.labels["le"] for sample in family.samples if "le" in sample.labels]
        if bounds:
            yield _row(f"`{family.name}`", ", ".join(bounds[:-1]))


def _examples(folder: Path) -> bytes:
    with serve(folder, openapi_examples.CONFIG) as running:
        made = msgspec.json.encode(openapi_examples.recorded(running))
    return msgspec.json.format(made, indent=1) + b"\n"


def write() -> None:
    """All three files."""
    ERRORS.write_text(errors_page())
    with tempfile.TemporaryDirectory() as folder:
        METRICS.write_text(asyncio.run(metrics_page(Path(folder))))
    with tempfile.TemporaryDirectory() as folder:
        openapi_examples.FILE.write_bytes(_examples(Path(folder)))


if __name__ == "__main__":
    write()

"""A real Prometheus with our rules reads a real gateway, and an alert begins."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import yaml

import needs
from quiet_ports import quiet_port
from running import Running, serve

DEPLOY = Path(__file__).parents[2] / "deploy"
FOLDER = DEPLOY / "prometheus"
PATIENCE_S = 60.0
EVERY = "200ms"


@contextmanager
def prometheus(folder: Path, target: str):
    """Prometheus as deployed, in a hurry; gives its URL."""
    said = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    said["global"] = {"scrape_interval": EVERY, "evaluation_interval": EVERY}
    said["rule_files"] = [str(FOLDER / "rules" / "*.yml")]
    said["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump(said))
    address = f"127.0.0.1:{quiet_port()}"
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                needs.program("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address={address}",
                "--log.level=warn",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield f"http://{address}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_S)


def _asked(url: str, body: bytes | None = None, key: str = "") -> bytes:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    headers |= {"content-type": "application/json"} if body else {}
    asked = urllib.request.Request(url, body, headers)
    with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
        return answer.read()


def result(url: str, query: str) -> list[dict]:
    """What Prometheus knows now; nothing, as long as it starts."""
    try:
        said = _asked(f"{url}/api/v1/query?{urllib.parse.urlencode({'query': query})}")
    except urllib.error.HTTPError as refusal:
        with refusal:
            if refusal.code == 503:
                return []
            raise AssertionError(f"{query}: {refusal.read().decode()}") from None
    except urllib.error.URLError:
        return []
    return json.loads(said)["data"]["result"]


def until(url: str, query: str, value: str) -> dict[str, str]:
    """The labels of the first series that has this value."""
    deadline_s, found = time.monotonic() + PATIENCE_S, []
    while time.monotonic() < deadline_s:
        found = result(url, query)
        for series in found:
            if series["value"][1] == value:
                return series["metric"]
        time.sleep(0.05)  # it tells nobody when it has scraped
    raise AssertionError(f"{query}: {found}")


def written() -> list[str]:
    """Every expression of dashboards and runbooks, with values for the variables."""
    found = []
    for path in (DEPLOY / "grafana" / "dashboards").glob("*.json"):
        panels = json.loads(path.read_text())["panels"]
        found += [one["expr"] for panel in panels for one in panel.get("targets", ())]
    for path in (DEPLOY.parent / "docs" / "runbooks").glob("*.md"):
        blocks = re.findall(r"^```promql\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE)
        found += [line for block in blocks for line in block.splitlines()]
    return [
        re.sub(r"\$(\w+)", ".*", one.replace("$__rate_interval", "1m"))
        for one in dict.fromkeys(found)
    ]


def _chat(running: Running) -> None:
    body = json.dumps({"model": "echo", "messages": [{"role": "user", "content": "hi"}]})
    _asked(f"{running.url}/v1/chat/completions", body.encode(), running.key)


def test_prometheus_reads_our_numbers_and_an_alert_begins(tmp_path: Path):
    with serve(tmp_path) as running, prometheus(tmp_path, running.url[7:]) as url:
        for _ in range(3):
            _chat(running)
        labels = until(url, 'up{job="gatemill"}', "1")
        assert labels["instance"] == f"127.0.0.1:{running.port}"
        until(url, 'sum(gatemill_requests_total{model="echo", status="200"})', "3")
        until(url, 'gatemill_model_targets_usable{model="echo"}', "1")
        rules = json.loads(_asked(f"{url}/api/v1/rules"))["data"]["groups"]
        assert {rule["health"] for group in rules for rule in group["rules"]} <= {"ok", "unknown"}
        assert result(url, 'ALERTS{alertname="ConfigReloadFailed"}') == []
        answers = {one: result(url, one) for one in written()}  # a 400 for what it cannot read
        assert len(answers) > 100
        assert any(answers.values())
        (tmp_path / "gatemill.toml").write_text("[server]\nprot = 1\n")
        running.process.send_signal(signal.SIGHUP)
        found = until(url, 'ALERTS{alertname="ConfigReloadFailed"}', "1")
        assert found["alertstate"] == "pending"
        assert found["severity"] == "warning"

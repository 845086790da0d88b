"""Alerts as files: rules that promtool takes, tests for each, dashboards and runbooks about what there is."""

from __future__ import annotations

import functools
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

import needs
from gatemill.cli.commands import tree
from gatemill.policy.incidents import RULES, runbook
from gatemill.wire import webhook
from openapi_examples import document

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
GRAFANA = ROOT / "deploy" / "grafana"
RULE_FILE = PROMETHEUS / "rules" / "gatemill.yml"
TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
RUNBOOKS = ROOT / "docs" / "runbooks"
# Labels that Prometheus puts on, and that rules and their expressions make.
OUTSIDE = {"instance", "job", "le", "alertname", "alertstate", "severity", "burn"}
GROUPS = yaml.safe_load(RULE_FILE.read_text())["groups"]
RULES_OF_FILE = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = [rule for rule in RULES_OF_FILE if "alert" in rule]
RECORDED = {rule["record"] for rule in RULES_OF_FILE if "record" in rule}


def _families() -> dict[str, set[str]]:
    """The labels of every metric in docs/metrics.md, which a test compares with a running house."""
    found = {}
    for line in (ROOT / "docs" / "metrics.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) == 5 and cells[0].startswith("`gatemill_"):
            name, labels = cells[0].strip("`"), set(re.findall(r"`(\w+)`", cells[3]))
            found[name] = labels
            if cells[1] == "histogram":
                found |= {f"{name}_{end}": labels for end in ("bucket", "sum", "count")}
    return found


FAMILIES = _families()


def _promtool(*words: str) -> None:
    done = subprocess.run(
        [needs.program("promtool"), *words],
        cwd=PROMETHEUS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def check_expression(expression: str) -> None:
    """Every metric exists, and so does every label that it is asked for."""
    names = re.findall(r"\bgatemill_\w+", expression)
    assert set(names) <= FAMILIES.keys(), expression
    assert set(re.findall(r"\bgatemill:[\w:]+", expression)) <= RECORDED, expression
    known = set().union(OUTSIDE, *(FAMILIES[name] for name in names))
    for name, inside in re.findall(r"\b(gatemill_\w+)\{([^}]*)\}", expression):
        asked = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inside))
        assert asked <= FAMILIES[name] | OUTSIDE, (name, asked)
    for labels in re.findall(r"\b(?:by|on|without) \(([^)]*)\)", expression):
        asked = {label.strip() for label in labels.split(",")} - {""}
        assert not names or asked <= known, (expression, asked)


def test_promtool_takes_configuration_and_rules():
    _promtool("check", "config", "prometheus.yml")
    _promtool("check", "config", "--syntax-only", "compose.yml")
    _promtool("check", "rules", "rules/gatemill.yml")


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_the_unit_tests_of_the_rules_hold(path: Path):
    _promtool("test", "rules", str(path))


def test_every_alert_is_tested_to_fire_and_not_to():
    fires, quiet = set(), set()
    for path in TESTS:
        for test in yaml.safe_load(path.read_text())["tests"]:
            for asked in test.get("promql_expr_test", ()):
                (name,) = re.findall(r'alertname="(\w+)"', asked["expr"])
                assert 'alertstate="' in asked["expr"]
                if 'alertstate="firing"' in asked["expr"]:
                    (fires if asked["exp_samples"] else quiet).add(name)
    names = {rule["alert"] for rule in ALERTS}
    assert fires == names
    assert quiet == names


def test_every_alert_says_what_to_do():
    for rule in ALERTS:
        notes = rule["annotations"]
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert notes.keys() == {"summary", "description", "runbook_url"}
        assert notes["summary"].endswith((".", "}}."))
        assert notes["runbook_url"] == runbook(rule["alert"])
        assert (ROOT / notes["runbook_url"]).is_file()
    assert len(ALERTS) >= 16


def test_rules_of_the_process_bear_the_names_of_the_file():
    severities: dict[str, set[str]] = {}
    for rule in ALERTS:
        severities.setdefault(rule["alert"], set()).add(rule["labels"]["severity"])
    for name, rule in RULES.items():
        assert rule.severity in severities[name], name


@pytest.mark.parametrize("rule", RULES_OF_FILE, ids=lambda rule: next(iter(rule.values())))
def test_rules_name_what_there_is(rule):
    check_expression(rule["expr"])


# --- Dashboards ---------------------------------------------------------------------------------


def _cells(panel) -> set[tuple[int, int]]:
    at = panel["gridPos"]
    return {
        (x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    }


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_whole(path: Path):
    board = json.loads(path.read_text())
    assert board["id"] is None
    assert board["uid"] == f"gatemill-{path.stem}"
    variables = {one["name"]: one for one in board["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        cells = _cells(panel)
        assert max(x for x, _ in cells) < 24
        assert not taken & cells, panel["title"]
        taken |= cells
        if panel["type"] == "row":
            continue
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        for target in (panel, *panel["targets"]):
            assert target["datasource"]["uid"] == "${datasource}"
        for target in panel["targets"]:
            used = set(re.findall(r"\$(?!__)(\w+)", target["expr"]))
            assert used <= variables.keys()
            check_expression(target["expr"])
    for one in variables.values():
        if one["type"] == "query":
            check_expression(one["query"]["query"])


def test_there_are_three_dashboards_and_grafana_finds_them():
    assert [path.stem for path in DASHBOARDS] == ["cost", "gateway", "jobs"]
    (found,) = (GRAFANA / "provisioning" / "datasources").glob("*.yml")
    assert yaml.safe_load(found.read_text())["datasources"][0]["type"] == "prometheus"
    (found,) = (GRAFANA / "provisioning" / "dashboards").glob("*.yml")
    (provider,) = yaml.safe_load(found.read_text())["providers"]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"


# --- Runbooks -----------------------------------------------------------------------------------

PAGES = sorted(path for path in RUNBOOKS.glob("*.md") if path.stem != "README")
EVENTS = {"budget.reached", *webhook.EVENTS}
CODES = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "errors.md").read_text(), re.MULTILINE))


def _options() -> set[str]:
    """Names of all settings, those of tables of tables by what stands behind their names."""
    found, section = set(), ""
    for line in (ROOT / "docs" / "settings.md").read_text().splitlines():
        if heading := re.match(r"## \[+([\w.]+)", line):
            section = heading[1]
        elif row := re.match(r"\| `([\w.]+)` \|", line):
            found |= {f"{section}.{row[1]}", row[1]}
    return found


OPTIONS = _options()


@functools.cache
def _tree():
    return tree()


@functools.cache
def _routes() -> set[str]:
    return set(document()["paths"])


def _command(words: list[str]) -> None:
    """The words name a command and its options."""
    found = _tree()
    while words and words[0] in getattr(found, "commands", ()):
        found = found.commands[words.pop(0)]
    known = {option for param in found.params for option in (*param.opts, *param.secondary_opts)}
    assert known >= {word for word in words if word.startswith("--")}, (found.name, words)
    assert not hasattr(found, "commands") or found.invoke_without_command, words


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_runbook_names_what_there_is(path: Path):
    text = path.read_text()
    shell = "".join(re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    spans = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)
    for line in (*shell.splitlines(), *spans):
        if line.startswith("gatemill "):
            _command(shlex.split(line.partition(" | ")[0])[1:])
    assert set(re.findall(r"http://127\.0\.0\.1:8700(/[\w/]+)", text)) <= _routes()
    for block in re.findall(r"^```promql\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            check_expression(line)
    for span in spans:
        if re.fullmatch(r"[a-z]+\.[a-z_]+", span) and span not in EVENTS:
            assert span in OPTIONS, span
        if section := re.fullmatch(r"\[([a-z.]+)\]", span):
            assert any(option.startswith(f"{section[1]}.") for option in OPTIONS), span
        if re.fullmatch(r"[a-z]+(_[a-z]+)+", span) and not span.startswith("gatemill_"):
            assert span in CODES, span
        if span.startswith("gatemill_"):
            check_expression(span)


def test_every_runbook_is_one_of_an_alert_and_stands_in_the_index():
    pages = {f"docs/runbooks/{path.name}" for path in PAGES}
    assert pages == {runbook(rule["alert"]) for rule in ALERTS}
    index = (RUNBOOKS / "README.md").read_text()
    linked = re.findall(r"^\| \[\w+\]\(([\w-]+\.md)\)", index, re.MULTILINE)
    assert sorted(linked) == [path.name for path in PAGES]
    for path in (*PAGES, RUNBOOKS / "README.md"):
        for target in re.findall(r"\]\(([\w./-]+\.md)\)", path.read_text()):
            assert (path.parent / target).is_file(), (path.name, target)

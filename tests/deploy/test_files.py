"""What is deployed with: each file read by a parser, and its ports, paths and options compared with the code.

No container engine was where these files were made, so what an engine would say is not tested here.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml

import needs
from cli_run import Command, entered
from gatemill.cli import init
from gatemill.settings.server import PORT
from settings_files import loaded

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yml").read_text())
OURS = ("gatemill", "worker")
SECRETS = {
    "POSTGRES_PASSWORD": "aa",
    "REDIS_PASSWORD": "bb",
    "RABBITMQ_PASSWORD": "cc",
    "DATABASE_URL": "postgresql://gatemill:aa@postgres/gatemill",
    "REDIS_URL": "redis://:bb@redis:6379/0",
}
STOPS_S = 5  # what is left of a grace for the end itself


@pytest.fixture
def gatemill(capsys, monkeypatch, tmp_path) -> Command:
    return entered(capsys, monkeypatch, tmp_path)


def settings(tmp_path, name):
    return loaded(tmp_path, (DEPLOY / name).read_text(), SECRETS).settings


@cache
def documents(name):
    return list(yaml.safe_load_all((DEPLOY / "k8s" / name).read_text()))


def everything():
    kustomization = documents("kustomization.yaml")[0]
    return [one for name in kustomization["resources"] for one in documents(name)]


def of_kind(kind):
    return {one["metadata"]["name"]: one for one in everything() if one["kind"] == kind}


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(s|m)", text).groups()
    return int(number) * {"s": 1, "m": 60}[unit]


# --- Dockerfile ------------------------------------------------------------------------------------


def instructions():
    text = (DEPLOY / "Dockerfile").read_text()
    lines = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    return [tuple(line.split(None, 1)) for line in lines if line.strip()]


def test_the_image_is_made_of_files_that_exist_and_of_packages_by_hash():
    stages = "".join(f"{word} {rest}\n" for word, rest in instructions()).split("FROM ")
    assert len(stages) == 3  # what stands before the first, and two stages
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*"  # nothing by default
    for word, rest in instructions():
        if word == "COPY" and "--from" not in rest:
            *sources, _ = [part for part in rest.split() if not part.startswith("--")]
            for source in sources:
                assert (ROOT / source.rstrip("/")).exists(), source
                assert f"!{Path(source).parts[0]}" in ignored, source
        if word == "RUN":
            command = yaml.safe_load(rest)  # an array: no shell reads it
            assert isinstance(command, list)
            if "install" in command and "-r" in command:
                assert "--require-hashes" in command
            elif "pip" in command[0] and ("install" in command or "wheel" in command):
                assert "--no-index" in command
    assert "RUN" not in [line.split()[0] for line in stages[2].splitlines()[1:]]
    for lock in ("requirements.lock", "build.lock"):
        pins = re.findall(
            r"^([a-z0-9-]+==\S+) .*?(?=^[a-z#]|\Z)",
            (DEPLOY / lock).read_text(),
            re.MULTILINE | re.DOTALL,
        )
        assert pins
        assert (DEPLOY / lock).read_text().count("--hash=sha256:") >= len(pins)


def test_the_image_runs_as_nobody_special_and_asks_for_its_health_by_python(tmp_path):
    said = [(word, rest) for word, rest in instructions()]
    words = [word for word, _ in said]
    last = dict(said)
    assert last["USER"] == "10001:10001"
    assert words.index("USER") > max(at for at, word in enumerate(words) if word == "FROM")
    assert (last["STOPSIGNAL"], last["ENTRYPOINT"], last["CMD"]) == (
        "SIGTERM",
        '["gatemill"]',
        '["serve"]',
    )
    check = yaml.safe_load(last["HEALTHCHECK"].split("CMD")[1])
    image = settings(tmp_path, "image.toml").server
    assert check[0] == "python"
    assert f"http://127.0.0.1:{image.port}/livez" in check[2]
    assert (last["EXPOSE"], last["VOLUME"]) == (str(image.port), f'["{image.data_dir}"]')
    assert image.host == "0.0.0.0"
    assert [rest for word, rest in said if word == "FROM"] == [
        "python:${PYTHON} AS build",
        "python:${PYTHON}",
    ]
    assert "GATEMILL_CONFIG=/etc/gatemill/gatemill.toml" in last["ENV"]


def test_the_image_has_what_the_base_lock_pins_and_its_extras():
    pins = [
        set(re.findall(r"^([a-z0-9-]+==[^\s;]+)", path.read_text(), re.MULTILINE))
        for path in (ROOT / "requirements.lock", DEPLOY / "requirements.lock")
    ]
    assert pins[0] < pins[1]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = {pin.partition("==")[0] for pin in pins[1]}
    first = (DEPLOY / "requirements.lock").read_text().splitlines()[0]
    extras = re.search(r"image: (.*)\. Made", first)[1].split(", ")
    for extra in extras:
        for wanted in project["optional-dependencies"][extra]:
            assert re.match(r"[a-z0-9-]+", wanted)[0] in named


# --- Compose ---------------------------------------------------------------------------------------


def test_compose_has_limits_no_rights_and_one_open_port():
    published = {name: one["ports"] for name, one in COMPOSE["services"].items() if "ports" in one}
    assert published == {"gatemill": [f"127.0.0.1:${{GATEMILL_PORT:-{PORT}}}:{PORT}"]}
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    for name, one in COMPOSE["services"].items():
        assert one["cap_drop"] == ["ALL"], name
        assert one["security_opt"] == ["no-new-privileges:true"], name
        assert set(one["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}, name
        assert one["networks"] == (["door", "inside"] if name in OURS else ["inside"]), name
        assert "healthcheck" in one or name == "gatemill", name  # the image has its own
        assert not one.get("privileged"), name
        tag = one["image"].rstrip("}").rpartition(":")[2]
        assert re.match(r"v?\d", tag), name
        if name not in OURS:
            assert one["user"] not in ("root", "0"), name
    assert all(COMPOSE["services"][name]["read_only"] for name in OURS)


def test_compose_waits_for_what_is_healthy():
    for name, one in COMPOSE["services"].items():
        for other, how in one.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}, name
            assert not COMPOSE["services"][other].get("healthcheck", {}).get("disable"), other


def test_no_password_has_a_default():
    text = (DEPLOY / "compose.yml").read_text()
    named = set(re.findall(r"^([A-Z_]+)=", (DEPLOY / ".env.example").read_text(), re.MULTILINE))
    assert named == {f"{name}_PASSWORD" for name in ("POSTGRES", "REDIS", "RABBITMQ", "GRAFANA")}
    used = re.findall(r"\$\{(\w+)(:?[-?])?", text)
    assert {name for name, how in used if how == ":?"} == named
    assert {name for name, how in used if how != ":?"} == {"GATEMILL_IMAGE", "GATEMILL_PORT"}
    assert re.findall(r"^[A-Z_]+=.+", (DEPLOY / ".env.example").read_text(), re.MULTILINE) == []


def test_every_file_that_compose_mounts_is_there():
    for one in COMPOSE["services"].values():
        for volume in one.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).exists(), source
                assert volume.endswith(":ro"), source
            else:
                assert source in COMPOSE["volumes"], source
    assert set(COMPOSE["secrets"]) == {"metrics_key"}


def test_what_compose_says_is_what_gatemill_reads(tmp_path):
    found, one = settings(tmp_path, "compose.gatemill.toml"), COMPOSE["services"]["gatemill"]
    mounted = dict(volume.split(":")[1::-1] for volume in one["volumes"])
    assert mounted[one["environment"]["GATEMILL_CONFIG"]] == "./compose.gatemill.toml"
    assert mounted[found.server.data_dir] == "data"
    assert str(found.server.port) == one["ports"][0].rpartition(":")[2]
    grace_s = found.server.drain_delay_s + found.server.drain_timeout_s
    assert grace_s + STOPS_S < seconds(one["stop_grace_period"])
    assert not found.jobs.embedded
    urls = (found.stores.database, found.stores.counters, found.jobs.broker)
    assert {
        re.search(r"@([a-z]+)", str(getattr(url, "get_secret_value", lambda u=url: u)()))[1]
        for url in urls
    } == {
        "postgres",
        "redis",
        "rabbitmq",
    }
    collector = yaml.safe_load((DEPLOY / "otel-collector.yml").read_text())
    assert collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"] == "0.0.0.0:4318"
    pipeline = collector["service"]["pipelines"]["traces"]
    for part in ("receivers", "processors", "exporters"):
        assert set(pipeline[part]) <= set(collector[part])


# --- Kubernetes ------------------------------------------------------------------------------------


def pods():
    for kind in ("Deployment", "Job"):
        for name, one in of_kind(kind).items():
            yield name, one["spec"]["template"]


def test_every_pod_has_few_rights_and_no_token():
    assert {name for name, _ in pods()} == {"gatemill", "gatemill-worker", "gatemill-migrate"}
    (account,) = of_kind("ServiceAccount").values()
    assert account["automountServiceAccountToken"] is False
    for name, pod in pods():
        spec, (box,) = pod["spec"], pod["spec"]["containers"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["enableServiceLinks"] is False, name
        assert spec["serviceAccountName"] == account["metadata"]["name"]
        assert spec["securityContext"]["runAsNonRoot"], name
        assert spec["securityContext"]["runAsUser"] == 10001, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert box["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(box["resources"]) == {"requests", "limits"}
        mounts = {mount["name"] for mount in box["volumeMounts"]}
        assert mounts == {volume["name"] for volume in spec["volumes"]}, name
        assert pod["metadata"]["labels"]["app.kubernetes.io/name"] == "gatemill"


def test_manifests_agree_with_each_other_and_with_the_settings(tmp_path):
    found = settings(tmp_path, "k8s/gatemill.toml").server
    gateway = of_kind("Deployment")["gatemill"]["spec"]["template"]["spec"]
    (box,) = gateway["containers"]
    ports = {port["name"]: port["containerPort"] for port in box["ports"]}
    assert ports == {"http": found.port, "admin": found.admin_port}
    probes = {name: box[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "startup": "/livez",
        "liveness": "/livez",
        "readiness": "/readyz",
    }
    assert {probe["port"] for probe in probes.values()} == {"http"}
    # Long enough for endpoints to hear of a failed probe, and all of it within the pod's grace.
    assert found.drain_delay_s > box["readinessProbe"]["periodSeconds"]
    grace_s = found.drain_delay_s + found.drain_timeout_s
    assert grace_s + STOPS_S < gateway["terminationGracePeriodSeconds"]
    for name, pod in pods():
        (one,) = pod["spec"]["containers"]
        mounts = {mount["mountPath"] for mount in one["volumeMounts"]}
        assert {found.data_dir, f"{found.data_dir}/pepper", "/etc/gatemill"} <= mounts, name
        (config,) = [env["value"] for env in one["env"] if env["name"] == "GATEMILL_CONFIG"]
        assert config == "/etc/gatemill/gatemill.toml"
    generated = documents("kustomization.yaml")[0]["configMapGenerator"]
    assert generated == [{"name": "gatemill", "files": ["gatemill.toml"]}]
    for service in of_kind("Service").values():
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= set(ports)
        assert chosen(service["spec"]["selector"]) == {"gatemill"}
    for kind in ("PodDisruptionBudget", "NetworkPolicy"):
        for name, one in of_kind(kind).items():
            selector = one["spec"].get("selector") or one["spec"]["podSelector"]
            assert chosen(selector.get("matchLabels", {})), name
    for one in of_kind("HorizontalPodAutoscaler").values():
        assert one["spec"]["scaleTargetRef"]["name"] in of_kind("Deployment")
        assert (
            "replicas" not in of_kind("Deployment")[one["spec"]["scaleTargetRef"]["name"]]["spec"]
        )
    metric = of_kind("HorizontalPodAutoscaler")["gatemill-worker"]["spec"]["metrics"][0][
        "external"
    ]["metric"]
    assert f"`{metric['name']}`" in (ROOT / "docs" / "metrics.md").read_text()


def chosen(labels):
    """The pods that these labels choose."""
    return {
        name
        for name, pod in pods()
        if set(labels.items()) <= set(pod["metadata"]["labels"].items())
    }


def test_by_default_nothing_comes_and_nothing_goes():
    policies = of_kind("NetworkPolicy")
    deny = policies["gatemill-default-deny"]["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for one in policies.values():
        for rule in [*one["spec"].get("ingress", []), *one["spec"].get("egress", [])]:
            assert rule.get("from") or rule.get("to")
            assert rule["ports"]


def test_the_example_of_a_secret_holds_none():
    assert "secret.example.yaml" not in documents("kustomization.yaml")[0]["resources"]
    for one in documents("secret.example.yaml"):
        assert set(one["stringData"].values()) == {""}


# --- systemd, and `gatemill init --with` -------------------------------------------------------------


@pytest.mark.parametrize("name", ["gatemill.service", "gatemill-worker.service"])
def test_systemd_accepts_the_unit(tmp_path, name):
    needs.program("systemd-analyze")
    text = (DEPLOY / "systemd" / name).read_text()
    assert "/opt/gatemill/bin/gatemill" in text
    unit = tmp_path / name
    unit.write_text(text.replace("/opt/gatemill/bin/gatemill", "/bin/true"))
    verify = ["systemd-analyze", "verify", "--man=no", str(unit)]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    secure = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)]
    done = subprocess.run(secure, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_units_run_commands_that_exist(gatemill):
    for name in ("gatemill.service", "gatemill-worker.service"):
        text = (DEPLOY / "systemd" / name).read_text()
        _, *words = shlex.split(re.search(r"^ExecStart=(.*)$", text, re.MULTILINE)[1])
        asked = gatemill(words[0], "--help").out
        assert all(word in asked for word in words if word.startswith("--"))
        assert words[words.index("--data-dir") + 1].endswith(
            re.search(r"^StateDirectory=(.*)$", text, re.MULTILINE)[1]
        )


def test_init_writes_the_files_of_every_way_and_overwrites_none(gatemill, tmp_path):
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "compose.yml").write_text("# mine\n")
    result = gatemill("init", "--with", "compose, systemd,k8s")
    assert result.code == 0
    assert "kept   deploy/compose.yml, which exists" in result.out
    assert "with k8s, see docs/guides/deploy.md:" in result.out
    assert "kubectl apply -k deploy/k8s" in result.out
    written = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    for path in written - {Path("gatemill.toml"), Path(".env.example"), Path("deploy/compose.yml")}:
        assert (tmp_path / path).read_text() == (ROOT / path).read_text(), path
    for one in COMPOSE["services"].values():
        for source in [volume.split(":")[0] for volume in one.get("volumes", [])]:
            assert not source.startswith(".") or (tmp_path / "deploy" / source).exists(), source
    result = gatemill("init", "--with", "helm")
    assert result.code == 2
    assert "--with compose,systemd,k8s" in result.err


def test_the_wheel_has_what_init_writes():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert all((ROOT / source).exists() for source in included)
    assert {source: f"gatemill/data/{source}" for source in included} == included
    for names in init._WAYS.values():
        for name in names:
            assert any(
                source == f"deploy/{name}" or source.startswith(f"deploy/{name}/")
                for source in included
            ), name

"""What is released is ours: two builds are equal, nothing runs that nobody asked for, and the workflow holds no secret."""

import base64
import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import heavy

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
NAME = "gatemill-0.1.0.dist-info"


def script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


release, sbom, audit = script("check_release"), script("sbom"), script("audit")


@pytest.mark.skipif(os.environ.get(heavy.WANTED) != "1", reason=f"heavy: set {heavy.WANTED}=1")
def test_two_builds_are_equal_and_install_by_hash_alone():
    command = [sys.executable, ROOT / "scripts" / "check_release.py", "--install"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def a_wheel(tmp_path, **changes):
    """A wheel with all that belongs in it; `changes` are files, b"" takes one away."""
    source = ROOT / "src"
    files = {name: (source / name).read_bytes() for name in release._wanted()}
    files[f"{NAME}/licenses/LICENSE"] = b"MIT"
    files |= {name.replace("__", "/"): data for name, data in changes.items()}
    files = {name: data for name, data in files.items() if data or name.endswith((".py", ".typed"))}
    rows = [f"{name},{digest(data)},{len(data)}" for name, data in files.items()]
    path = tmp_path / "gatemill-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, data in files.items():
            wheel.writestr(name, data)
        wheel.writestr(f"{NAME}/RECORD", "\n".join([*rows, f"{NAME}/RECORD,,"]))
    return path


def digest(data):
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def test_a_wheel_with_everything_in_it_has_no_fault(tmp_path):
    assert release.wheel_faults(a_wheel(tmp_path)) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"gatemill.pth": b"import os"}, "runs at every start of Python: gatemill.pth"),
        ({"tests__test_x.py": b"x"}, "beside the package: tests/test_x.py"),
        ({"gatemill__test_x.py": b"x"}, "does not belong here: gatemill/test_x.py"),
        ({"gatemill__data__prices.json": b""}, "missing: gatemill/data/prices.json"),
        ({f"{NAME}__licenses__LICENSE": b""}, "missing: the licence"),
    ],
)
def test_what_is_wrong_with_a_wheel_is_said(tmp_path, changes, fault):
    assert fault in release.wheel_faults(a_wheel(tmp_path, **changes))


def test_a_file_that_was_changed_after_the_build_is_seen(tmp_path):
    path = a_wheel(tmp_path)
    other = tmp_path / "other.whl"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(other, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) + b" " * (name == "gatemill/__main__.py"))
    assert release.wheel_faults(other) == ["RECORD: gatemill/__main__.py has another hash"]


def test_the_bill_of_materials_is_the_lock():
    lock = (ROOT / "requirements.lock").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bill = sbom.bill(lock, project)
    assert bill == sbom.bill(lock, project)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    refs = [each["bom-ref"] for each in bill["components"]]
    pinned = re.findall(r"^([a-z0-9-]+)==([^\s;]+)", lock, re.MULTILINE)
    assert sorted(refs) == sorted(f"pkg:pypi/{name}@{version}" for name, version in pinned)
    hashes = [
        each["value"]
        for component in bill["components"]
        for each in component["properties"]
        if each["name"] == "python:file:sha256"
    ]
    assert sorted(hashes) == sorted(re.findall(r"sha256:([0-9a-f]{64})", lock))
    tree = {each["ref"]: each["dependsOn"] for each in bill["dependencies"]}
    ours = tree["pkg:pypi/gatemill@" + project["version"]]
    wanted = {re.split(r"[^a-z0-9-]", each)[0] for each in project["dependencies"]}
    assert {ref.split("/")[1].split("@")[0] for ref in ours} == wanted
    assert set(tree) == {*refs, "pkg:pypi/gatemill@" + project["version"]}


def test_a_package_without_a_hash_stops_the_bill():
    with pytest.raises(SystemExit, match="no hash for left"):
        sbom.pins("left==1.0 \\\n    # via gatemill\n")


def report(*packages):
    return json.dumps({"dependencies": list(packages)})


CLEAN = {"name": "good", "version": "1", "vulns": []}
UNKNOWN = {"name": "odd", "skip_reason": "not found"}
HOLE = {"name": "bad", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}


@pytest.mark.parametrize(
    ("said", "words", "code", "strict_code"),
    [
        (report(CLEAN), "pip-audit: 1 packages, no known hole", 0, 0),
        (report(CLEAN, HOLE), "bad 2: PYSEC-1, repaired in 3", 1, 1),
        (report(CLEAN, UNKNOWN), "nothing is known of odd", 0, 1),
        (report(UNKNOWN), "SKIPPED", 0, 1),
        ("", "SKIPPED", 0, 1),
    ],
    ids=["clean", "hole", "unknown", "all-unknown", "nothing"],
)
def test_a_silent_advisory_service_is_not_a_clean_bill(said, words, code, strict_code):
    verdict = audit.judged(said, strict=False)
    assert words in verdict.words
    assert verdict.code == code
    assert audit.judged(said, strict=True).code == strict_code


def jobs():
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text())
        for name, job in workflow["jobs"].items():
            yield path.name, name, workflow, job


def test_workflows_run_only_what_is_pinned_and_may_only_read():
    assert {path.name for path in WORKFLOWS} == {"ci.yml", "release.yml"}
    for file, name, workflow, job in jobs():
        # YAML 1.1 reads `on` as true.
        assert "pull_request_target" not in workflow[True], file
        assert workflow["permissions"] in ({}, {"contents": "read"}), file
        used = [step["uses"] for step in job["steps"] if "uses" in step]
        assert [one for one in used if not re.fullmatch(r"[\w/.-]+@[0-9a-f]{40}", one)] == [], name
    assert "secrets." not in "".join(path.read_text() for path in WORKFLOWS)


def test_the_job_that_publishes_runs_no_code_of_ours():
    able = [
        (name, job) for _, name, _, job in jobs() if "id-token" in (job.get("permissions") or {})
    ]
    assert [name for name, _ in able] == ["publish"]
    job = able[0][1]
    assert job["environment"]
    assert set(job["permissions"]) == {"id-token", "attestations"}
    runs = [step["run"] for step in job["steps"] if "run" in step]
    assert runs == ['echo "$HASHES" | base64 -d | sha256sum --check --strict']
    assert not [step for step in job["steps"] if "checkout" in step.get("uses", "")]

"""Builds the wheel and the source distribution twice, and looks into them. Run by `just release-check`.

    python scripts/check_release.py [--install] [--keep FOLDER]

Rule: what is wrong is printed, all of it, and the exit code is 1. With --install the wheel is installed into a fresh
environment by requirements.lock alone, each file by its hash, and must start there. With --keep both files are left in FOLDER.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "gatemill"
MOMENT = "1767225600"  # 2026-01-01: what the archives say of the age of their files
_LEFT_OUT = {"__pycache__"}
# Nothing else belongs to the root of what is installed.
_TOPS = {"gatemill"}


def built(folder: Path) -> list[Path]:
    """Both files, built into `folder`."""
    command = ["uv", "build", "--quiet", "--out-dir", str(folder), str(ROOT)]
    subprocess.run(["env", f"SOURCE_DATE_EPOCH={MOMENT}", *command], check=True)
    return sorted(path for path in folder.iterdir() if path.suffix in {".whl", ".gz"})


def differences(first: list[Path], second: list[Path]) -> list[str]:
    """What two builds do not agree on."""
    if [path.name for path in first] != [path.name for path in second]:
        return ["two builds: other names"]
    pairs = zip(first, second, strict=True)
    return [f"{a.name}: two builds differ" for a, b in pairs if a.read_bytes() != b.read_bytes()]


def wheel_faults(path: Path) -> list[str]:
    """What should not be in the wheel, what should be and is not, and what RECORD has wrong."""
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
        faults = _names_wrong(names)
        faults += [f"missing: {name}" for name in sorted(_wanted() - set(names))]
        record = next(name for name in names if name.endswith(".dist-info/RECORD"))
        rows = {row[0]: row[1] for row in csv.reader(wheel.read(record).decode().splitlines())}
        faults += [f"RECORD: {name} is not in it" for name in sorted(set(names) - set(rows))]
        faults += [f"RECORD: {name} is not there" for name in sorted(set(rows) - set(names))]
        for name in sorted(set(rows) & set(names) - {record}):
            if rows[name] != _digest(wheel.read(name)):
                faults.append(f"RECORD: {name} has another hash")
    return faults


def _names_wrong(names: list[str]) -> list[str]:
    faults = []
    for name in names:
        place = PurePosixPath(name)
        top = place.parts[0]
        if place.suffix == ".pth":
            faults.append(f"runs at every start of Python: {name}")
        if top not in _TOPS and not top.endswith(".dist-info"):
            faults.append(f"beside the package: {name}")
        if "tests" in place.parts or place.name.startswith("test_") or place.suffix == ".pyc":
            faults.append(f"does not belong here: {name}")
    if not any(name.endswith(".dist-info/licenses/LICENSE") for name in names):
        faults.append("missing: the licence")
    return faults


def _wanted() -> set[str]:
    return {
        path.relative_to(SOURCE.parent).as_posix()
        for path in SOURCE.rglob("*")
        if path.is_file() and not _LEFT_OUT & set(path.parts)
    }


def _digest(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"sha256={digest}"


def source_faults(path: Path) -> list[str]:
    """What the source distribution lacks, and what has no place in it."""
    with tarfile.open(path) as archive:
        members = archive.getmembers()
    inside = {member.name.partition("/")[2] for member in members}
    wanted = {f"src/{name}" for name in _wanted()} | {
        "LICENSE",
        "README.md",
        "SECURITY.md",
        "pyproject.toml",
        "requirements.lock",
    }
    faults = [f"missing in the sources: {name}" for name in sorted(wanted - inside)]
    faults += [f"in the sources: {m.name}" for m in members if not (m.isfile() or m.isdir())]
    return faults


def install_faults(wheel: Path, folder: Path) -> list[str]:
    """Whether it installs by the lock, each file by its hash, and starts."""
    home = folder / "installed"
    python = home / "bin" / "python"
    install = ["uv", "pip", "install", "--quiet", "--python", str(python), "--no-deps"]
    steps = (
        ["uv", "venv", "--quiet", str(home)],
        [*install, "--require-hashes", "-r", str(ROOT / "requirements.lock")],
        [*install, str(wheel)],
        ["uv", "pip", "check", "--python", str(python)],
        [str(home / "bin" / "gatemill"), "--version"],
        [str(python), "-c", "import gatemill, gatemill.cli.main, gatemill.edge.app"],
    )
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False, cwd=folder)
        if done.returncode:
            return [f"{' '.join(step)}\n{done.stdout}{done.stderr}"]
    return []


def main() -> None:
    """Prints every fault; ends with 1 if there is one."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--keep", type=Path)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first, second = built(folder / "first"), built(folder / "second")
        faults = differences(first, second)
        wheel, source = first
        faults += [*wheel_faults(wheel), *source_faults(source)]
        if wanted.install:
            faults += install_faults(wheel, folder)
        if wanted.keep and not faults:
            wanted.keep.mkdir(parents=True, exist_ok=True)
            for path in first:
                shutil.copy(path, wanted.keep)
        sizes = ", ".join(f"{path.name} {path.stat().st_size} bytes" for path in first)
    print("\n".join(faults) if faults else f"release: {sizes}; both built twice, byte for byte")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()

"""Pins every transitive dependency: exact constraints in pyproject.toml, hashes in requirements.lock.

Run by `just lock`. deploy/requirements.lock has the same for the image, with its extras. uv.lock itself stays out of git, because it names the registry it was made with.
"""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = ROOT / "pyproject.toml"
LOCK = ROOT / "requirements.lock"
IMAGE_LOCK = ROOT / "deploy" / "requirements.lock"
IMAGE_EXTRAS = ("postgres", "redis", "rabbitmq", "oidc", "otel")
BEGIN, END = "# pins: made by `just lock`", "# end of pins"
_TORCH = re.compile(r"torch$|triton$|nvidia-|cuda-")
_BLOCK = re.compile(re.escape(BEGIN) + r".*?" + re.escape(END), re.DOTALL)


def with_pins(project: str, pins: list[str]) -> str:
    """pyproject.toml with `pins` between the two marks."""
    lines = "".join(f'  "{pin}",\n' for pin in pins)
    block = f"{BEGIN}\nconstraint-dependencies = [\n{lines}]\n{END}"
    if not _BLOCK.search(project):
        raise SystemExit(f"pyproject.toml has lost its mark: {BEGIN}")
    return _BLOCK.sub(lambda _: block, project)


def pins_of(lock: str) -> list[str]:
    """name==version for every package of a uv.lock but our own and torch's builds.

    Which build of torch fits is a matter of the machine. A package that older Pythons get in an older
    version has bounds instead.
    """
    versions: dict[str, list[str]] = {}
    for package in tomllib.loads(lock)["package"]:
        if package["name"] != "gatemill" and not _TORCH.match(package["name"]):
            versions.setdefault(package["name"], []).append(package["version"])
    return sorted(
        f"{name}=={found[0]}" if len(found) == 1 else f"{name}>={found[0]},<={found[-1]}"
        for name, found in ((name, sorted(each, key=_order)) for name, each in versions.items())
    )


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def main() -> None:
    """Resolves anew and rewrites both files."""
    PROJECT.write_text(with_pins(PROJECT.read_text(), []))
    subprocess.run(["uv", "lock", "--upgrade"], cwd=ROOT, check=True)
    PROJECT.write_text(with_pins(PROJECT.read_text(), pins_of((ROOT / "uv.lock").read_text())))
    subprocess.run(["uv", "lock"], cwd=ROOT, check=True)
    LOCK.write_text(
        "# Every runtime dependency with its hashes. Made by `just lock`.\n" + exported(())
    )
    words = f"# The same with the extras of the image: {', '.join(IMAGE_EXTRAS)}. Made by `just lock`.\n"
    IMAGE_LOCK.write_text(words + exported(IMAGE_EXTRAS))


def exported(extras: tuple[str, ...]) -> str:
    """What uv.lock pins for the base install and these extras, with hashes."""
    export = ["uv", "export", "--no-dev", "--no-emit-project", "--no-header", "--frozen"]
    command = [*export, *(word for extra in extras for word in ("--extra", extra))]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()

"""The software bill of materials: CycloneDX 1.6 as JSON, of requirements.lock and of nothing else.

    python scripts/sbom.py > sbom.json

Rule: the same lock gives the same bytes, and no network is asked. It says what the base install may bring, with the hash of
each file that is let in; what only some machines get has its marker.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
import uuid
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements.lock"
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)(?:\s*;\s*([^\\]+?))?\s*\\?$")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_VIA = re.compile(r"^\s+#(?:\s+via)?\s+([A-Za-z0-9._-]+)(?:\s.*)?$")
_SPACE = uuid.UUID("6f0a3c9e-52f5-4a53-9b0d-6b6b8e0f8a11")  # of our own: names to UUIDs


class Pin(NamedTuple):
    """A package of the lock."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]
    via: tuple[str, ...]  # who asks for it

    @property
    def url(self) -> str:
        """Its package URL."""
        return f"pkg:pypi/{self.name}@{self.version}"


def pins(lock: str) -> list[Pin]:
    """Every package, in the order of the lock. Raises SystemExit for one without a hash."""
    found: list[Pin] = []
    for line in lock.splitlines():
        if pin := _PIN.match(line):
            found.append(Pin(pin[1].lower(), pin[2], (pin[3] or "").strip(), (), ()))
        elif digest := _HASH.search(line):
            found[-1] = found[-1]._replace(hashes=(*found[-1].hashes, digest[1]))
        elif found and (via := _VIA.match(line)) and via[1] != "via":
            found[-1] = found[-1]._replace(via=(*found[-1].via, via[1].lower()))
    bare = [pin.name for pin in found if not pin.hashes]
    if bare:
        raise SystemExit(f"requirements.lock: no hash for {', '.join(bare)}. Run `just lock`.")
    return found


def bill(lock: str, project: dict[str, Any]) -> dict[str, Any]:
    """The whole document."""
    found = pins(lock)
    ours = f"pkg:pypi/{project['name']}@{project['version']}"
    known = {pin.name: pin.url for pin in found} | {project["name"]: ours}
    needs: dict[str, list[str]] = {url: [] for url in (ours, *(pin.url for pin in found))}
    for pin in found:
        for name in pin.via:
            needs[known[name]].append(pin.url)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_SPACE, lock)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": ours,
                "name": project["name"],
                "version": project["version"],
                "purl": ours,
                "licenses": [{"license": {"id": project["license"]}}],
            }
        },
        "components": [_component(pin) for pin in found],
        "dependencies": [
            {"ref": url, "dependsOn": sorted(set(wanted))} for url, wanted in sorted(needs.items())
        ],
    }


def _component(pin: Pin) -> dict[str, Any]:
    marked = [{"name": "python:marker", "value": pin.marker}] if pin.marker else []
    # One hash for each file that the index has of the version: CycloneDX's own list is of one file.
    files = [{"name": "python:file:sha256", "value": digest} for digest in pin.hashes]
    return {
        "type": "library",
        "bom-ref": pin.url,
        "name": pin.name,
        "version": pin.version,
        "purl": pin.url,
        "properties": [*marked, *files],
    }


def main() -> None:
    """Writes it to standard output."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    json.dump(bill(LOCK.read_text(), project), sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()

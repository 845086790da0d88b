"""A server on a machine without any network but itself, as a program: `python island.py FOLDER`.

Rule: the kernel counts, not we. In a network namespace of its own every packet that finds no route is counted, whatever
library sent it, and nothing outside can be reached. Prints {"asked": status, "strays": count, "seen": count}: packets that
wanted to go somewhere, and how many one attempt of our own makes.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import socket
import struct
import sys
import urllib.request
from pathlib import Path

from running import serve

REFUSED = 77  # exit code: this machine gives nobody a namespace
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_SET_FLAGS, _UP_AND_RUNNING = 0x8914, 0x41


def leave() -> bool:
    """This process and its children have no network but an own loopback; False where that is not allowed."""
    uid, gid = os.getuid(), os.getgid()
    if ctypes.CDLL(None).unshare(_NEW_USER | _NEW_NETWORK):
        return False
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        Path(f"/proc/self/{name}").write_text(text)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP_AND_RUNNING))
    return True


def strays() -> int:
    """Packets that found no route since the namespace was made."""
    names, values = (
        line.split()
        for line in Path("/proc/self/net/snmp").read_text().splitlines()
        if line.startswith("Ip:")
    )
    six = dict(line.split() for line in Path("/proc/self/net/snmp6").read_text().splitlines())
    return int(values[names.index("OutNoRoutes")]) + int(six["Ip6OutNoRoutes"])


def _ask(url: str, key: str) -> int:
    body = json.dumps({"model": "echo", "messages": [{"role": "user", "content": "hi"}]}).encode()
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    wanted = urllib.request.Request(f"{url}/v1/chat/completions", body, headers)
    with urllib.request.urlopen(wanted, timeout=10) as answer:
        return int(answer.status)


def main() -> None:
    if not leave():
        sys.exit(REFUSED)
    with serve(Path(sys.argv[1]), GATEMILL_SERVER__DISCOVER="true") as running:
        asked = _ask(running.url, running.key)
    before = strays()
    with socket.socket() as control:
        control.connect_ex(("192.0.2.1", 80))
    said = {"asked": asked, "strays": before, "seen": strays() - before}
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()

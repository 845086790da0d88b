"""Stands where presidio's process does: answers by rule, and misbehaves when it is told to.

Rule: the protocol is that of gatemill/local/presidio_child.py; a text that is `die`, `hang` or `babble` does it.
"""

from __future__ import annotations

import sys
import threading

import msgspec

from gatemill.local.presidio_child import Answer, Asked, Place


def main() -> None:
    sys.stdin.buffer.readline()
    for line in sys.stdin.buffer:
        asked = msgspec.json.decode(line, type=Asked)
        text = asked.texts[0]
        if text == "die":
            return
        if text == "hang":
            threading.Event().wait()
        if text == "babble":
            sys.stdout.buffer.write(b"what?\n")
        else:
            error = "no pipeline" if text == "error" else ""
            found = [[Place(1, len(one), "name", 0.9)] if one else [] for one in asked.texts]
            sys.stdout.buffer.write(msgspec.json.encode(Answer(asked.number, found, error)) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()

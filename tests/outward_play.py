"""A way outward for tests, and a resolver that answers from lists."""

from __future__ import annotations

import socket
import ssl

from gatemill.policy.addresses import networks
from gatemill.upstream.outward import Bounds, Outward

HERE = networks(["127.0.0.0/8"])


BODY = b'{"type":"x"}'


class Book:
    """Answers the questions of a resolver from lists, the last one again and again."""

    def __init__(self, *answers: list[str]) -> None:
        self.asked: list[tuple[str, int]] = []
        self._answers = list(answers)

    async def find(self, host: str, port: int) -> list[str]:
        self.asked.append((host, port))
        found = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return found


def outward_to(*private, find=None, timeout_s=5.0, most=4, tls=None) -> Outward:
    context = tls or ssl.create_default_context()
    return Outward(private, context, Bounds(timeout_s, most), find=find)


async def post(way: Outward, url: str, owner: str = "team:a"):
    return await way.post(owner, url, (("webhook-id", "wh_1"),), BODY)

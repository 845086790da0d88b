"""Keys for tests of the ledger: made and identified at a moment that is known."""

from __future__ import annotations

from gatemill.ledger import keys
from gatemill.ledger.keys import Scope

PEPPER = bytes(range(32))
NOW_S = 1_000_000.0


def make(database, name="anna", **scope):
    return keys.create(database, PEPPER, Scope(name, **scope), NOW_S)


def identify(database, secret, now_s=NOW_S):
    return keys.load(database, PEPPER, now_s).identify(secret.encode())

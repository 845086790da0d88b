"""The composition root: settings -> Gateway, and what has to be closed again.

Rule: the only room that turns configured names into modules and knows every other room below.
"""

from gatemill.house.effective import effective
from gatemill.house.jobs import Shift, crew_of, embedded
from gatemill.house.models import price_book
from gatemill.house.passage import passage
from gatemill.house.root import House, build, open_ledger

__all__ = [
    "House",
    "Shift",
    "build",
    "crew_of",
    "effective",
    "embedded",
    "open_ledger",
    "passage",
    "price_book",
]

"""Numbers, moments and spans as people read them. Rule: pure; the present is an argument; None is a dash."""

from __future__ import annotations

from datetime import UTC, datetime

NOTHING = "\u2013"
_SPANS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))
_LEAST = 0.01  # of milliseconds and percent: below it digits say nothing
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB")


def number(value: float | None) -> str:
    """1,234,567; with at most three digits behind the point."""
    if value is None:
        return NOTHING
    if isinstance(value, int) or value == int(value):
        return f"{int(value):,}"
    return f"{value:,.3f}".rstrip("0").rstrip(".")


def short(value: float | None) -> str:
    """Three digits are enough for a tile or an axis: 1.23k, 45.6M."""
    if value is None:
        return NOTHING
    size, scale = abs(value), ""
    for bound, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= bound:
            size, scale = size / bound, letter
            break
    text = f"{size:.3g}" if size < 100 else f"{size:.0f}"
    return f"{'-' if value < 0 else ''}{text}{scale}"


def usd(microusd: int | None) -> str:
    """Dollars with as many decimals as tell something: $0.000123, $0.0190, $0.20, $12.34, $1,234.

    Below a dollar there are two, four or six decimals, so that the amounts of a column line up.
    """
    if microusd is None:
        return "unknown"
    sign, amount = ("-" if microusd < 0 else ""), abs(microusd) / 1e6
    if amount == 0:
        return "$0"
    if amount >= 1_000:
        return f"{sign}${amount:,.0f}"
    if amount >= 1:
        return f"{sign}${amount:,.2f}"
    # From a cent on, a hundredth of a cent says enough.
    digits = 4 if amount >= 0.01 else 6
    whole, _, rest = f"{amount:.{digits}f}".partition(".")
    if not int(rest) and whole == "0":
        return "$0"
    return f"{sign}${whole}.{rest[:2] if not int(rest[2:]) else rest}"


def spent(microusd: int, unpriced: int) -> str:
    """Dollars of a sum; a plus where the price of some of what is in it is not known: $0.20+."""
    if not unpriced:
        return usd(microusd)
    return f"{usd(microusd)}+" if microusd else usd(None)


def usd_mark(microusd: int | None) -> str:
    """Dollars on an axis, whose marks are round: $0.005, $0.01, $2.50."""
    told = usd(microusd)
    whole, _, rest = told.partition(".")
    return f"{whole}.{rest.rstrip('0'):0<2}" if rest else told


def percent(share: float | None) -> str:
    """0.0123 is 1.23 %; 1 is 100 %."""
    if share is None:
        return NOTHING
    value = share * 100
    if value in (0, 100):
        return f"{value:.0f} %"
    if 0 < value < _LEAST:
        return f"< {_LEAST} %"
    # 99.96 % of success is not 100 %.
    digits = 2 if abs(value) < 10 or abs(value) > 99 else 1
    return f"{value:.{digits}f} %"


def duration(ms: float | None) -> str:
    """How long something took: 0.42 ms, 12 ms, 1.25 s, 3 min 20 s."""
    if ms is None:
        return NOTHING
    if 0 < ms < _LEAST:
        return f"< {_LEAST} ms"
    if ms < 1_000:
        return f"{ms:.2g} ms" if ms < 10 else f"{ms:.0f} ms"
    if ms < 60_000:
        return f"{ms / 1e3:.3g} s"
    return span(ms / 1e3)


def span(seconds: float | None) -> str:
    """A span by its two largest units: 3 min 20 s, 2 h 5 min."""
    if seconds is None:
        return NOTHING
    rest = max(0.0, float(seconds))
    parts: list[str] = []
    for unit_s, name in _SPANS:
        count = int(rest // unit_s)
        if count or (name == "s" and not parts):
            parts.append(f"{count} {name}")
        rest -= count * unit_s
        if len(parts) == 2:
            break
    return " ".join(parts)


def ago(at_s: float | None, now_s: float) -> str:
    """How long ago, or how soon."""
    if at_s is None:
        return NOTHING
    if abs(now_s - at_s) < 1:
        return "now"
    return f"{span(now_s - at_s)} ago" if at_s < now_s else f"in {span(at_s - now_s)}"


def moment(at_s: float | None) -> str:
    """2026-11-21 18:07:11 UTC."""
    if at_s is None:
        return NOTHING
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def iso(at_s: float) -> str:
    """For `datetime` of a time element."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def size(count_bytes: float | None) -> str:
    """1.5 MiB."""
    if count_bytes is None:
        return NOTHING
    value, place = float(count_bytes), 0
    while abs(value) >= 1024 and place < len(_BYTES) - 1:
        value, place = value / 1024, place + 1
    # From a hundred on no power of ten: 1005 KiB, not 1e+03 KiB.
    return f"{value:.3g} {_BYTES[place]}" if abs(value) < 100 else f"{value:.0f} {_BYTES[place]}"

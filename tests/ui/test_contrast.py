"""Colours that stand on each other can be told apart, in light and in dark. Source: WCAG 2.2, 1.4.3 and 1.4.11."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

TEXT, SHAPE = 4.5, 3.0  # least contrast of words, and of lines and areas that say something
GROUNDS = ("page", "card", "raised")
PAIRS = [
    *(
        (word, ground, TEXT)
        for word in ("text", "soft", "act", "good", "warn", "bad")
        for ground in GROUNDS
    ),
    *((tone, f"{tone}-bg", TEXT) for tone in ("good", "warn", "bad")),
    ("on-act", "act", TEXT),
    *((f"c{number}", "card", SHAPE) for number in range(1, 7)),
    *((line, ground, SHAPE) for line in ("focus", "edge") for ground in ("page", "card")),
]
_SHEET = files("gatemill.ui").joinpath("static", "app.css").read_text()
THEMES = [
    dict(re.findall(r"--([\w-]+): #(\w+)", rules))
    for rules in re.findall(r":root[^{]*\{([^}]*)\}", _SHEET)
]


def luminance(colour: str) -> float:
    """How light it is: 0 is black, 1 is white."""
    if len(colour) == 3:
        colour = "".join(char * 2 for char in colour)
    parts = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_the_sheet_has_three_themes_of_which_the_dark_ones_are_the_same():
    light, by_system, by_choice = THEMES
    assert by_system == by_choice
    assert light.keys() == by_choice.keys()
    assert contrast("000", "ffffff") == pytest.approx(21)


@pytest.mark.parametrize("theme", [0, 2], ids=["light", "dark"])
def test_every_pair_of_colours_has_its_contrast(theme):
    named = THEMES[theme]
    low = {
        f"{front} on {ground}": round(found, 2)
        for front, ground, least in PAIRS
        if (found := contrast(named[front], named[ground])) < least
    }
    assert not low

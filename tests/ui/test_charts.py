import math
import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatemill.ui import charts, words
from gatemill.ui.drawing import BOTTOM, HEIGHT, LEFT, RIGHT, WIDTH

AT_S = 1_795_286_400
NASTY = "<script>\"&'x"
number = st.none() | st.floats(allow_nan=True, allow_infinity=True) | st.integers(0, 10**15)
series = st.lists(
    st.fixed_dictionaries(
        {"name": st.text(max_size=5), "values": st.lists(number, max_size=6)},
    ),
    max_size=8,
)
TIMED = (charts.lines, charts.stacked)


def parsed(markup):
    """The figure as XML; what XML forbids is not drawn by anybody."""
    return ET.fromstring(re.sub(r"[\x00-\x08\x0b-\x1f\ufffe\uffff]", "", str(markup)))


def coordinates(figure):
    for element in figure.iter():
        for name in ("x", "y", "width", "height", "cx", "cy"):
            if name in element.attrib:
                yield float(element.attrib[name].removesuffix("%"))
        if "d" in element.attrib:
            yield from map(float, re.findall(r"-?\d+(?:\.\d+)?", element.attrib["d"]))


def test_where_nothing_was_spent_the_axis_is_of_dollars():
    drawn = str(charts.stacked("Cost", [AT_S, AT_S + 60], [{"name": "a", "values": [0, 0]}], "usd"))
    assert "$1.00" in drawn
    assert "$0.0" not in drawn


@pytest.mark.parametrize("draw", TIMED)
@settings(max_examples=40, deadline=None)
@given(data=series, count=st.integers(0, 6), kind=st.sampled_from(["short", "usd", "duration"]))
def test_whatever_the_values_are_all_is_drawn_inside(draw, data, count, kind):
    figure = parsed(draw("Things", [AT_S + 60 * n for n in range(count)], data, kind))
    assert all(-5 <= value <= WIDTH for value in coordinates(figure))
    assert not re.search(r"nan|inf|e\+", "".join(e.get("d", "") for e in figure.iter()))


@pytest.mark.parametrize("draw", TIMED)
def test_names_are_escaped_everywhere(draw):
    said = str(draw(NASTY, [AT_S, AT_S + 60], [{"name": NASTY, "values": [1, 2]}]))
    assert "<script" not in said
    parsed(said)


@pytest.mark.parametrize("draw", TIMED)
def test_a_chart_says_in_words_what_it_shows_and_has_a_table(draw):
    times = [AT_S, AT_S + 60, AT_S + 120]
    figure = parsed(draw("Requests", times, [{"name": "requests", "values": [1, 12_000, None]}]))
    drawing = figure.find("svg")
    assert drawing.get("role") == "img"
    assert drawing.get("aria-label") == "Requests: requests from 1 to 12k, last 12k"
    rows = figure.findall(".//tbody/tr")
    assert [[cell.text for cell in row] for row in rows] == [
        ["21 Nov, 18:42 to 18:43", words.NOTHING],
        ["21 Nov, 18:41 to 18:42", "12k"],
        ["21 Nov, 18:40 to 18:41", "1"],
    ]
    titles = [title.text for title in figure.iter("title")]
    assert titles[1] == "21 Nov, 18:41 to 18:42\nrequests: 12k"


@pytest.mark.parametrize("times", [[], [AT_S]])
@pytest.mark.parametrize("draw", TIMED)
def test_where_there_is_nothing_the_chart_says_so(draw, times):
    figure = parsed(draw("Cost", times, [{"name": "a", "values": [None] * len(times)}]))
    assert figure.find("svg").get("aria-label") == "Cost: nothing yet"


def test_a_gap_ends_a_line_and_a_point_alone_is_a_dot():
    times = [AT_S + 60 * n for n in range(5)]
    figure = parsed(charts.lines("L", times, [{"name": "p", "values": [1, 2, None, 3, math.nan]}]))
    (line,) = [e.get("d") for e in figure.iter("path") if e.get("class") == "line s1"]
    assert line.count("M") == 2
    assert line.count("L") == 1
    assert line.count("a2 2") == 2


def test_stacked_bars_stand_on_each_other():
    data = [{"name": "a", "values": [3]}, {"name": "b", "values": [1]}]
    figure = parsed(charts.stacked("S", [AT_S], data))
    one, other = (e for e in figure.find("svg").iter("rect") if e.get("class") in ("f1", "f2"))
    assert float(one.get("y")) + float(one.get("height")) == HEIGHT - BOTTOM
    assert float(other.get("y")) + float(other.get("height")) == pytest.approx(
        float(one.get("y")), abs=0.11
    )
    assert float(one.get("height")) == pytest.approx(3 * float(other.get("height")), abs=0.31)


def test_bars_are_as_long_as_their_values_and_lead_to_their_pages():
    rows = [{"name": NASTY, "value": 200, "link": "/ui/x?a=1&b=2"}, {"name": "b", "value": 50}]
    figure = parsed(charts.bars("Keys", rows))
    widths = [e.get("width") for e in figure.iter("rect") if e.get("class") == "f1"]
    assert widths == ["100", "25"]
    assert figure.find(".//a").get("href") == "/ui/x?a=1&b=2"
    assert "nothing yet" in charts.bars("Keys", [])


def test_intervals_share_an_axis_and_say_their_bounds():
    rows = [
        {"name": "b", "low": -0.1, "value": 0.2, "high": 0.5},
        {"name": "c", "low": None, "value": 0.1, "high": math.inf},
        {"name": "d", "low": None, "value": None, "high": None},
    ]
    figure = parsed(charts.intervals("Lift", rows, "percent", zero=0.0))
    assert next(e.text for e in figure.iter("title")) == "b: 20.0 %, -10.0 % to 50.0 %"
    spots = [float(e.get("cx")) for e in figure.iter("circle")]
    assert len(spots) == 2
    assert spots[1] < spots[0]
    assert all(0 <= value <= WIDTH for value in coordinates(figure))
    assert "nothing yet" in charts.intervals("Lift", [rows[2]])


@given(st.lists(number, max_size=10))
def test_a_sparkline_is_drawn_of_anything(values):
    drawing = parsed(charts.sparkline(NASTY, values))
    assert all(-5 <= value <= 103 for value in coordinates(drawing))


def test_margins_leave_room():
    assert LEFT + RIGHT < WIDTH / 2

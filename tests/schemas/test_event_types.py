"""The table of event types: what a table may be, and that what is made of it is complete."""

from dataclasses import replace

import pytest
from bokeh.core.enums import MarkerType

from model.features.template import EventType as KnownType
from schemas.event_types import BOUGHT, BY_NUMBER, EVENT_TYPES, NOT_BOUGHT, TYPES, EventType, check_table, rank_in_sql
from simulator.event_columns import EVENT_TYPES as SIMULATED
from tests.flow.running import ROOT
from viz import look
from viz.words import TYPE_NAMES

EMAIL = EventType("EM", 4, "email opened", "emails opened", is_touch=True)


@pytest.mark.parametrize("place", range(5))
def test_a_new_type_may_be_put_anywhere(place):
    check_table([*EVENT_TYPES[:place], EMAIL, *EVENT_TYPES[place:]])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (replace(EMAIL, number=5), "the numbers 0 to 4"),
        (replace(EMAIL, number=2), "the numbers 0 to 4"),
        (replace(EMAIL, code="IM"), "no two alike"),
        (replace(EMAIL, code="EML"), "two capital letters"),
        (replace(EMAIL, code="em"), "two capital letters"),
        (replace(EMAIL, is_conversion=True), "a conversion is no touch"),
        (replace(EMAIL, is_touch=False, can_be_bought=True), "what can be bought is a touch"),
    ],
)
def test_a_row_that_contradicts_the_others_or_itself_is_refused(row, message):
    with pytest.raises(ValueError, match=message):
        check_table([*EVENT_TYPES, row])


def test_more_types_than_a_tag_has_room_for_are_refused():
    more = [replace(EMAIL, code=f"A{chr(65 + number)}", number=number) for number in range(4, 17)]
    check_table([*EVENT_TYPES, *more[:-1]])
    with pytest.raises(ValueError, match="at most 16, got 17"):
        check_table([*EVENT_TYPES, *more])


def test_what_lists_types_has_them_all():
    everything = set(TYPES)
    assert set(look.MARKS) == set(TYPE_NAMES) == set(SIMULATED) == everything
    assert KnownType.__args__ == TYPES
    assert {*BOUGHT, *NOT_BOUGHT} == {each.code for each in EVENT_TYPES if each.is_touch}
    assert [each.number for each in BY_NUMBER] == list(range(len(TYPES)))
    assert rank_in_sql("type") == f"instr('{' '.join(TYPES)}', type)"


def test_every_mark_is_drawn_by_chart_and_legend():
    """A type for which no mark was chosen has one too, unlike the others; the legend has each shape."""
    marks = look.marks([*TYPES, "EM", "SV", "QR", "AF"]).values()
    assert len(set(marks)) == 8
    legend = (ROOT / "viz" / "web" / "parts.js").read_text()
    for mark in marks:
        assert mark.shape in MarkerType
        assert f"  {mark.shape}: " in legend
